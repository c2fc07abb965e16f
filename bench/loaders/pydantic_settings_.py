"""The 16 keys with pydantic-settings."""

from typing import Annotated, Literal

from pydantic import Field, HttpUrl, PostgresDsn, RedisDsn, SecretStr
from pydantic_settings import BaseSettings


class Settings(BaseSettings):
    """As its documentation would have one write it."""

    environment: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
    database_url: PostgresDsn
    database_pool_size: Annotated[int, Field(ge=1, le=200)]
    database_timeout_seconds: Annotated[float, Field(ge=0.1, le=60)]
    redis_url: RedisDsn
    log_level: Literal["debug", "info", "warning", "error"]
    log_format: Literal["json", "text"]
    shutdown_grace_seconds: Annotated[float, Field(ge=1, le=600)]
    worker_concurrency: Annotated[int, Field(ge=1, le=256)]
    delivery_attempts: Annotated[int, Field(ge=1, le=50)]
    sms_provider: Literal["sandbox", "twilio"]
    sms_provider_url: HttpUrl
    sms_sender: Annotated[str, Field(pattern=r"^(\+[1-9][0-9]{6,14}|[A-Za-z0-9 ]{1,11})$")]
    smtp_host: Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]+$")]
    smtp_port: Annotated[int, Field(ge=1, le=65535)]
    smtp_password: Annotated[SecretStr, Field(min_length=8)]


settings = Settings()
