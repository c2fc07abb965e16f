"""The sandbox: an SMS provider and a mail server for `local`, and a page that shows what they were given.

It is a service of `local`, `python -m sandbox`, at 127.0.0.1; nothing that it takes leaves the machine. The job
`python -m sandbox.verify` sees a message of each channel arrive.

| request | answer |
|---|---|
| `POST /v1/messages` `{to, from, body}` | 201 and the SMS; the same `Idempotency-Key` never sends twice |
| `GET /v1/messages` | the SMS, newest first |
| `POST /v1/keys` `{name}` | 201 and a new key, its secret for the only time; the name may be left out |
| `GET /v1/keys` | every key's id and name, when it was made and when revoked |
| `DELETE /v1/keys/ID` | 204 and the key is revoked for good; 409 for the last one |
| `POST /v1/faults` `{status, delay, count}` | 204; the next `count` sends wait `delay` seconds, or fail |
| `GET /` | the inbox, for people |
| `GET /inbox.json` | the inbox, for programs: SMS and e-mail, each with its `reference` |
| `GET /healthz` | 200 |

What is below /v1 wants an API key (basic auth, id and secret) and answers 401 without, and 422 to bad input. The
`reference` of an SMS is its Idempotency-Key, that of an e-mail its Message-ID up to the @. The last thousand
messages are kept in a file, and the keys in another, as hashes.
"""
