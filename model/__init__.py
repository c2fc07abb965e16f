"""What the api and the worker share: the notification in Postgres, the nudge in Redis, the log they both write."""
