"""Storefront: a web app, a worker, and a migration Job that runs before each release."""

from __future__ import annotations

from sandbox.samples.model import Change, Edit, Environment, Image, SampleProject, Save, SecretsFile, Variable
from sandbox.samples.people import DEVIN, LENA, ROBIN, SASHA
from sandbox.samples.values import PRIVATE_KEY, RAW_KEY

_STAGING, _PRODUCTION = "kubernetes/staging", "kubernetes/production"


def _both(file: str, old: str, new: str) -> tuple[Edit, ...]:
    """The same edit in staging and production."""
    return tuple(Edit(f"{directory}/{file}", old, new) for directory in (_STAGING, _PRODUCTION))


_MAIN = (
    Change(LENA, 1180, "Start the storefront", add=("README.md", "web", "migrations/0001_orders.sql")),
    Change(
        ROBIN,
        1156,
        "Send order mails from a worker",
        add=("worker",),
        body="The web app only puts a message into the queue: a slow mail server no longer makes a slow page.",
    ),
    Change(LENA, 1110, "Run on Kubernetes: staging", add=(_STAGING,)),
    Change(LENA, 1084, "Run on Kubernetes: production", add=(_PRODUCTION,)),
    Change(DEVIN, 842, "Keep the total with the order", add=("migrations/0002_totals.sql",)),
    Change(
        SASHA,
        700,
        "Show 36 products per page",
        edits=(Edit("web/settings.js", "pageSize: 24", "pageSize: 36"),),
    ),
    Change(
        ROBIN,
        512,
        "Give the web pods a budget for connections",
        edits=_both("config.yaml", "  QUEUE_NAME:", '  DATABASE_POOL: "8"\n  QUEUE_NAME:'),
    ),
    Change(DEVIN, 366, "Find a customer's orders faster", add=("migrations/0003_orders_by_customer.sql",)),
    Change(
        SASHA,
        244,
        "Greet customers on the home page",
        edits=(Edit("web/pages.js", "<h1>Storefront</h1>", "<h1>Welcome to the storefront</h1>"),),
    ),
    Change(
        LENA,
        170,
        "Let the web pods finish their requests",
        edits=_both("web.yaml", "terminationGracePeriodSeconds: 20", "terminationGracePeriodSeconds: 45"),
        body="Two shoppers lost their basket during the last release: 20 s is shorter than our slowest checkout.",
    ),
    Change(
        DEVIN,
        98,
        "Retry order mails",
        edits=(
            Edit(
                "worker/jobs.js",
                "message.mailer.send('order', { to: message.customer })",
                "message.mailer.send('order', { to: message.customer, retries: 3 })",
            ),
        ),
    ),
    Change(
        ROBIN,
        51,
        "Turn on structured logs",
        edits=_both(
            "config.yaml", "  LOG_LEVEL: ${LOG_LEVEL}", "  LOG_FORMAT: json\n  LOG_LEVEL: ${LOG_LEVEL}"
        ),
    ),
    Change(
        SASHA,
        26,
        "Say how full the basket is",
        edits=(Edit("web/pages.js", "'<h1>Your basket</h1>'", "'<h1>Your basket</h1><p>3 items</p>'"),),
    ),
    Change(
        DEVIN,
        5,
        "Give the worker more memory in production",
        edits=(Edit(f"{_PRODUCTION}/worker.yaml", "memory: 256Mi", "memory: 320Mi"),),
    ),
)

_CRASH_LOG = (
    "> storefront-web@3.5.0 start\\n> node web/server.js\\n"
    "/srv/storefront/web/settings.js:5\\n"
    "  if (!value) throw new Error(`setting ${name} is missing`)\\n"
    "              ^\\n\\n"
    "Error: setting PAYMENT_API_URL is missing\\n"
    "    at required (/srv/storefront/web/settings.js:5:21)\\n"
    "    at Object.<anonymous> (/srv/storefront/web/settings.js:12:18)\\n"
    "    at Module._compile (node:internal/modules/cjs/loader:1554:14)\\n\\n"
    "Node.js v22.14.0"
)

_BROKEN = (
    Change(
        SASHA,
        3.5,
        "Add a page for payments",
        edits=(Edit("web/pages.js", "  notFound:", "  '/pay': () => '<h1>Pay</h1>',\n  notFound:"),),
    ),
    Change(
        SASHA,
        1.2,
        "Take payments by the new provider",
        body="Needs PAYMENT_API_URL in every environment.",
        edits=(
            Edit(
                "web/settings.js",
                "  logLevel:",
                "  paymentApiUrl: required('PAYMENT_API_URL'),\n  logLevel:",
            ),
            Edit("web/Dockerfile", 'behaviour="ready"', 'behaviour="crash"'),
            Edit(
                "web/Dockerfile",
                "> storefront-web@3.4.0 start\\n> node web/server.js\\n"
                "connected to database storefront\\nlistening on :8080",
                _CRASH_LOG,
            ),
        ),
    ),
)


_LOST_LOG = (
    "connected to queue storefront-jobs\\nwaiting for jobs\\n"
    "Error: read ECONNRESET\\n"
    "    at TLSWrap.onStreamRead (node:internal/stream_base_commons:216:20)\\n\\n"
    "Node.js v22.14.0"
)

# Its worker has no readiness probe: it is ready at once, and dies when all seems well.
_CRASHES_LATE = (
    Change(
        LENA,
        2.6,
        "Watch the worker a little longer",
        edits=_both("worker.yaml", 'slipway.dev/settle: "1"', 'slipway.dev/settle: "8"'),
    ),
    Change(
        DEVIN,
        0.8,
        "Talk to the queue by TLS",
        edits=(
            Edit("worker/Dockerfile", 'behaviour="ready"', 'behaviour="crash-later:4"'),
            Edit("worker/Dockerfile", "connected to queue storefront-jobs\\nwaiting for jobs", _LOST_LOG),
        ),
    ),
)


# Its reference files name one key more than the secrets files have, so that no revision of it can be deployed yet.
_MORE_KEYS = (
    Change(
        ROBIN,
        1.6,
        "Ask the fraud check before a payment",
        body="Needs FRAUD_CHECK_TOKEN in the secrets of every environment.",
        edits=(
            *_both("secrets.yaml", '  PAYMENT_TOKEN: ""', '  PAYMENT_TOKEN: ""\n  FRAUD_CHECK_TOKEN: ""'),
            *_both(
                "web.yaml",
                "                  key: SESSION_KEY\n",
                "                  key: SESSION_KEY\n"
                "            - name: FRAUD_CHECK_TOKEN\n"
                "              valueFrom:\n"
                "                secretKeyRef:\n"
                "                  name: storefront-secrets\n"
                "                  key: FRAUD_CHECK_TOKEN\n",
            ),
        ),
    ),
)

_STAGING_SAVES = (
    Save(
        "lead",
        "The payment provider's test account, which all of us may use",
        {"storefront-secrets/PAYMENT_TOKEN": "pay_test_{random}"},
    ),
    Save(  # pasted with its line end, which the portal points out
        "dev",
        "The mail server has new passwords",
        {"storefront-keys/mail-password": "{random}\n"},
    ),
)
_PRODUCTION_SAVES = (
    Save(
        "lead",
        "Both yearly rotations: sessions and receipts",
        {"storefront-secrets/SESSION_KEY": "{random}{random}", "storefront-keys/receipts.pem": PRIVATE_KEY},
    ),
    Save(
        "lead",
        "The payment provider's new token; the old one ends with the month",
        {"storefront-secrets/PAYMENT_TOKEN": "pay_{random}"},
        after_deploy=True,
    ),
)


def _secrets_file(environment: str, saves: tuple[Save, ...], *, newsletter_token: str) -> SecretsFile:
    return SecretsFile(
        path=f"kubernetes/{environment}/secrets.yaml",
        secret_id=f"slipway/storefront/{environment}",
        values={
            "DATABASE_URL": f"postgres://storefront:{{random}}@db.{environment}.internal:5432/storefront",
            "SESSION_KEY": "{random}{random}",
            "PAYMENT_TOKEN": "pay_{random}",
            "mail-password": "{random}",
            "receipts.pem": PRIVATE_KEY,
            "unsubscribe.key": RAW_KEY,
            "newsletter-token": newsletter_token,
        },
        saves=saves,
    )


STOREFRONT = SampleProject(
    slug="storefront",
    name="Storefront",
    description="The shop that customers see: web app, worker, migrations.",
    files="storefront",
    slack_channel="#storefront",
    main=_MAIN,
    broken=_BROKEN,
    crashes_late=_CRASHES_LATE,
    more_keys=_MORE_KEYS,
    images=(
        Image("web", "storefront/web", "web/Dockerfile", scan="done", findings="HIGH=1 MEDIUM=3 LOW=7"),
        Image("worker", "storefront/worker", "worker/Dockerfile", scan="done", archived=True),
    ),
    environments=(
        Environment(
            slug="staging",
            name="Staging",
            order=1,
            auto_deploy="main",
            namespace="storefront-staging",
            config_directory=_STAGING,
            variables=(
                Variable("WEB_REPLICAS", "2", "number"),
                Variable("LOG_LEVEL", "debug"),
                Variable("PUBLIC_HOST", "shop.staging.example.com"),
            ),
            secrets_files=(_secrets_file("staging", _STAGING_SAVES, newsletter_token="change-me"),),
            seeded=("main~2", "main~1"),
        ),
        Environment(
            slug="production",
            name="Production",
            order=2,
            production=True,
            namespace="storefront-production",
            config_directory=_PRODUCTION,
            variables=(
                Variable("WEB_REPLICAS", "3", "number"),
                Variable("WORKER_REPLICAS", "2", "number"),
                Variable("LOG_LEVEL", "info"),
                Variable("PUBLIC_HOST", "shop.example.com"),
            ),
            secrets_files=(_secrets_file("production", _PRODUCTION_SAVES, newsletter_token="news_{random}"),),
            seeded=("main~4",),
        ),
    ),
)
