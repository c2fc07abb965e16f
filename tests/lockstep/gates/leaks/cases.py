"""Files that hold a leak, by the rule that finds it, files that hold none, and the values that fill them."""

import secrets
import string
from base64 import b64encode

# {v} is a random value, {f} one that begins with true and contains false, {p} a passphrase.
BAD = {
    "schema-key": {
        "dotenv.env": "SMTP_PASSWORD={v}",
        "spaced.sh": "export SMTP_PASSWORD = {v}",
        "values.yaml": "  SMTP_PASSWORD: {v}",
        "quoted.json": '{{"SMTP_PASSWORD": "{v}"}}',
        "single.py": "os.environ['SMTP_PASSWORD'] = '{v}'",
        "run.sh": "docker run -e SMTP_PASSWORD={v} image",
        "call.py": 'setenv("SMTP_PASSWORD", "{v}")',
        "Dockerfile": "ENV SMTP_PASSWORD {v}",
        "Dockerfile2": "ENV SMTP_PASSWORD={v}",
        "conf.xml": "<SMTP_PASSWORD>{v}</SMTP_PASSWORD>",
        "false.env": "SMTP_PASSWORD={f}",
        "phrase.env": "SMTP_PASSWORD={p}",
        "quoted-phrase.py": 'SMTP_PASSWORD = "{p}"',
        "tokens.env": "API_TOKENS={t}",
        "provider.env": "SMS_PROVIDER_API_KEY=SK{h}:{t}",
        "redis.yml": "REDIS_URL: rediss://:{v}@redis.internal:6379/0",
        "database.env": "DATABASE_URL=postgresql://lockstep:{v}@db.internal:5432/lockstep",
        "crlf.env": "A=1\r\nSMTP_PASSWORD={v}\r\nB=2\r\n",
        "cell.ipynb": '"os.environ[\\"SMTP_PASSWORD\\"] = \\"{v}\\"\\n",',
        "allow.env": "SMTP_PASSWORD={v} # gitleaks:allow",
        "decrypted.env": 'SMTP_PASSWORD="{v}\\n{v2}\\n"',
        "decrypted-json.env": 'SMTP_PASSWORD="{{\\n  \\"key\\": \\"{v}\\"\\n}}\\n"',
        "one-line.sh": 'export SMTP_PASSWORD=\'{{"id": "{v}"}}\'',
        "several.sh": 'export SMTP_PASSWORD="{v}\n{v2}"',
        "block.yaml": "SMTP_PASSWORD: |-\n  {v}\n  {v2}\n",
    },
    "schema-url": {
        "alembic.ini": "sqlalchemy.url = postgresql://app:{v}@db/app",
        "driver.py": 'engine = create_engine("postgresql+psycopg://app:{v}@db/app")',
        "cache.md": "Connect to `redis://:{v}@cache:6379`.",
        "tls.txt": "rediss://user:{f}@cache",
    },
    "url-password": {
        "mysql.txt": "mysql://app:{v}@db/app",
        "mongo.txt": "mongodb+srv://app:{v}@db/app",
        "amqp.py": 'broker = "amqps://app:{v}@mq//"',
        "smtp.toml": 'mail = "smtps://app:{v}@mail:465"',
        "basic.sh": "curl https://app:{f}@api.internal/",
        "ftp.txt": "ftp://app:{v}@files",
    },
    "age-identity": {
        "pq.txt": "AGE-SECRET-KEY-PQ-1{b}",
        "plain.txt": "AGE-SECRET-KEY-1{b}",
        "plugin.txt": "AGE-PLUGIN-YUBIKEY-1{b}",
    },
    "authorization-header": {
        "client.py": 'headers = {{"Authorization": "Bearer {v}"}}',
        "basic.js": "headers['Authorization'] = 'Basic {v}'",
        "request.http": "Authorization: Token {v}",
    },
    "name-value-pair": {
        "deployment.yaml": "- name: MAIL_PASSWORD\n  value: {v}",
        "quoted.yaml": '- name: "MAIL_PASSWORD"\n  value: "{p}"',
        "task.json": '{{"name": "MAIL_PASSWORD", "value": "{v}"}}',
    },
    "notebook-cell": {"lab.ipynb": '"mail_password = \\"{v}\\"\\n",'},
    "env-instruction": {"Dockerfile.a": "ENV MAIL_PASS {v}", "Dockerfile.b": "ARG MAIL_TOKEN {v}"},
    "password-option": {
        "cmd.sh": "mailer send --password {v} now",
        "cmd2.sh": "mailer --api-key={v}",
        "argv.py": '["mailer", "--password", "{v}"]',
    },
    "login-call": {"mail.py": 'server.login("mailer", "{v}")', "http.py": "HTTPBasicAuth('me', '{p}')"},
    "pgpass": {"lines.txt": "db.internal:5432:app:me:{v}\n*:*:*:other:{v2}"},
    "netrc": {"netrc": "machine api.internal\n  login me\n  password {v}"},
    "docker-auth": {"config.json": '{{"auths": {{"r.io": {{"auth": "{b64}"}}}}}}'},
    "password-assignment": {
        "pass.py": 'MAIL_PASS = "{v}"',
        "pwd.sh": "export MAIL_PWD={v}",
        "special.py": "password = '{s}'",
        "phrase.rb": "passphrase: '{p}'",
        "plain.yaml": "password: {v}",
        "typed.py": 'mail_password: str = "{v}"',
        "mail.ini": "password = {v}",
        "false.py": 'password = "{f}"',
        "eight.py": 'password = "{e}"',
    },
    "known-provider": {"github.txt": "ghp_{a36}", "key.pem": "{pem}"},
    "key-file": {"server.p12": "x", "id_ed25519": "x"},
}
GOOD = {
    "placeholders.env": "SMTP_PASSWORD=PASSWORD\nAPI_TOKENS=TOKEN,TOKEN\nDB_PASS=changeme\nDB_PWD=xxxxxxxx",
    "angle.md": "SMTP_PASSWORD=<your password>\nexport DB_PASSWORD=<password>",
    "shell.sh": 'SMTP_PASSWORD=${SMTP_PASSWORD:?}\nDB_PASS="$DB_PASS"\nDB_PWD=$(cat /run/secrets/pwd)',
    "jinja.yaml": 'password: "{{ db_password }}"\nSMTP_PASSWORD: {{ .Values.smtpPassword }}',
    "workflow.yml": "SMTP_PASSWORD: ${{ secrets.SMTP_PASSWORD }}\nGITHUB_TOKEN: ${{ github.token }}",
    "reference.py": 'password = os.environ["DB_PASSWORD"]\nSMTP_PASSWORD = os.environ["SMTP_PASSWORD"]',
    "code.py": "password = get_password()\nself.password = password\ntoken: str | None = None\nsecret: Secret",
    "generated.py": 'SMTP_PASSWORD = secrets.token_urlsafe()\npassword = f"{secrets.token_hex(8)}"',
    "fstring.py": 'url = f"postgresql://lockstep:{secrets.token_urlsafe()}@db/lockstep"\nu = f"amqp://a:{pw}@b"',
    "format.py": 'url = "mysql://%s:%s@host/db" % (user, password)\nu = "mysql://{}:{}@host"',
    "example.md": "postgresql://lockstep:PASSWORD@db.internal:5432/lockstep\nrediss://:PASSWORD@redis.internal:6379/0",
    "nopassword.env": "DATABASE_URL=postgresql://lockstep@db.internal/lockstep\nREDIS_URL=redis://cache:6379/0",
    "lines.py": 'run("set", "SMTP_PASSWORD", "two\\nlines")',
    "block.yaml": "SMTP_PASSWORD: |\n  ${SMTP_PASSWORD}\nDB: >\n  words that are about SMTP_PASSWORD: a key",
    "prose.md": "SMTP_PASSWORD is required. Password: see the vault. The token, if any, is secret.",
    "parser.py": 'upgrade_token = "upgrades"\ntoken_type: str = "bearer_token"',
    "header.py": 'headers = {"Authorization": f"Bearer {token}"}\nh = "Authorization: Bearer TOKEN"',
    "pair.yaml": "- name: DB_PASSWORD\n  valueFrom:\n    secretKeyRef: {name: db, key: password}",
    "pair2.yaml": "- name: DB_PASSWORD\n  value: $(DB_PASSWORD)",
    "cell-good.ipynb": '"password = \\"PASSWORD\\"\\n",\n"token = os.environ[\\"API_TOKEN\\"]\\n",',
    "Dockerfile.good": "ARG DB_PASSWORD\nENV DB_PASSWORD $DB_PASSWORD\nENV TOKEN_FILE=/run/secrets/token",
    "option.sh": 'mailer --password "$PASSWORD"\nmailer --token ${TOKEN}\nmailer --password-stdin',
    "login-good.py": 'server.login(user, password)\nlogin("mailer", os.environ["X"])\nlogin("USER", "PASSWORD")',
    "pgpass-good": "db.internal:5432:app:me:PASSWORD\nhttp://a:80:b",
    "netrc-good": "machine api.internal login me password PASSWORD",
    "docker-good.json": '{"auths": {"r.io": {"auth": ""}}}',
    "requirements.txt": "httpx==0.28.1 \\\n    --hash=sha256:{hex64}\n    --hash=sha256:{hex64}",
    "package-lock.json": '{"integrity": "sha512-{b64long}", "token": {"version": "1.0.0"}}',
    "recipients.yaml": "age: age1{bech}",
    "sealed.enc.env": "SMTP_PASSWORD=ENC[AES256_GCM,data:{b64long},iv:{b64},tag:{b64},type:str]",
    "lockstep.css": ".token { color: #ffcc00 }\nToken: '#cccccc'",
    "server.crt": "-----BEGIN CERTIFICATE-----\n{b64long}\n-----END CERTIFICATE-----",
}


def made_up() -> dict[str, str]:
    """Return fresh values, for each kind that the cases ask for."""
    letters = string.ascii_letters + string.digits

    def some(alphabet: str, length: int) -> str:
        return "".join(secrets.choice(alphabet) for _ in range(length))

    return {
        "v": f"{some(letters, 9)}-{some(letters, 9)}7",
        "v2": f"{some(letters, 9)}-{some(letters, 9)}7",
        "f": f"true{some(letters, 6)}false{some(letters, 6)}",
        "p": " ".join(some(string.ascii_lowercase, 6) for _ in range(4)),
        "s": f"{some(letters, 4)}#%&*!{some(letters, 4)}~^({some(letters, 4)})",
        "e": f"{some(string.ascii_lowercase, 3)}{some(string.digits, 2)}{some(string.ascii_lowercase, 3)}",
        "t": some(letters, 32),
        "h": secrets.token_hex(16),
        "b": some("QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 58),
        "b64": b64encode(secrets.token_bytes(30)).decode(),
        "a36": some(letters, 36),
        "pem": "\n".join(
            [
                f"-----BEGIN {'RSA'} PRIVATE KEY-----",
                *(some(letters, 64) for _ in range(12)),
                f"-----END {'RSA'} PRIVATE KEY-----",
            ]
        ),
    }


def fill(text: str) -> str:
    """Put ciphertext, hashes and a public key where a good file has them."""
    made = {
        "hex64": secrets.token_hex(32),
        "bech": "".join(secrets.choice("qpzry9x8gf2tvdw0s3jn54khce6mua7l") for _ in range(58)),
    }
    made |= {
        "b64long": b64encode(secrets.token_bytes(64)).decode(),
        "b64": b64encode(secrets.token_bytes(32)).decode(),
    }
    for name, value in made.items():
        text = text.replace(f"{{{name}}}", value)
    return text
