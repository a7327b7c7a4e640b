"""The portal's settings. Environment variables give everything that differs between installations.

The variables are a public contract; README.md lists them. Wrong values stop the start (`core/checks.py`).
"""

from __future__ import annotations

import secrets
from pathlib import Path
from urllib.parse import urlsplit

from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from core.logs import configure_logging
from portal import env
from portal.database import database

BASE_DIR = Path(__file__).resolve().parent.parent
VERSION = "0.1.0"

DEBUG = False
DATA_DIR = Path(env.text("DATA_DIR", str(BASE_DIR / ".data")))
BASE_URL = env.text("BASE_URL", f"http://127.0.0.1:{env.integer('PORT', 8000)}").rstrip("/")
_public = urlsplit(BASE_URL)
if _public.scheme not in {"http", "https"} or not _public.hostname:
    raise ImproperlyConfigured(
        f"BASE_URL is {BASE_URL!r}; write the public address, e.g. https://deploy.example.com."
    )
HTTPS = _public.scheme == "https"
# The container's probes use the loopback address, people use the public name.
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS") or [_public.hostname, "127.0.0.1", "localhost"]
CSRF_TRUSTED_ORIGINS = [BASE_URL]
TRUSTED_PROXIES = env.words("TRUSTED_PROXIES")

SECRET_KEY = env.text("SECRET_KEY")
ENCRYPTION_KEYS = env.words("ENCRYPTION_KEYS")
DIGEST_KEY = env.text("DIGEST_KEY")
# Without keys only commands that store nothing start (newkeys, collectstatic); core/checks.py stops the others.
KEYS_ARE_MISSING = not (SECRET_KEY and ENCRYPTION_KEYS and DIGEST_KEY)
SECRET_KEY = SECRET_KEY or secrets.token_urlsafe(48)

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.forms",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "csp",
    "django_htmx",
    "django_rq",
    "core",
    "ui",
    "audit",
    "people",
    "projects",
    "runs",
    "notify",
    "clusters",
    "secrets_ui",
    "registry",
    "builds",
    "deployments",
    "portal",
]

MIDDLEWARE = [
    "core.redaction.request_redactor",
    "core.middleware.request_id",
    "core.middleware.ClientAddressMiddleware",
    "core.incoming.NoNulCharacters",
    "core.middleware.kept_by_nobody",
    "portal.patience.bounded_waiting",
    "django.middleware.security.SecurityMiddleware",
    "servestatic.middleware.ServeStaticMiddleware",
    "core.middleware.CompressedPages",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "core.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "core.again.ShowAgain",
    "core.middleware.ErrorsMiddleware",
    "audit.refusals.RefusalsMiddleware",  # sees errors before the one above answers them
]

ROOT_URLCONF = "portal.urls"
ASGI_APPLICATION = "portal.asgi.application"
WSGI_APPLICATION = "portal.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "portal.shell.shell",
            ],
            "builtins": ["ui.templatetags.ui", "ui.templatetags.ui_blocks"],
        },
    }
]
FORM_RENDERER = "ui.formrender.UiRenderer"

DATABASES = {"default": database(env.text("DATABASE_URL", f"sqlite:///{DATA_DIR / 'slipway.sqlite3'}"))}
# Of each web process, at most; portal/asgi.py makes them a pool.
DATABASE_CONNECTIONS = env.integer("DATABASE_CONNECTIONS", 20)

REDIS_URL = env.text("REDIS_URL", "redis://127.0.0.1:6379/0")
# Short timeouts: a click must not wait for a Redis that is down or hangs. Ticks enqueue lost jobs later. RQ's workers set
# longer ones for themselves, because they wait for jobs.
_redis_query = "socket_connect_timeout=0.5&socket_timeout=0.5"
_rq_url = f"{REDIS_URL}{'&' if '?' in REDIS_URL else '?'}{_redis_query}"
JOBS_SERIALIZER = "rq.serializers.JSONSerializer"  # pickles would run code of whoever can write to Redis
RQ_QUEUES = {
    "deploys": {"URL": _rq_url, "DEFAULT_TIMEOUT": 4 * 3600, "SERIALIZER": JOBS_SERIALIZER},
    "builds": {"URL": _rq_url, "DEFAULT_TIMEOUT": 5 * 3600, "SERIALIZER": JOBS_SERIALIZER},
    # A queue and a worker for each outside system, so that a slow one delays no other.
    "live": {"URL": _rq_url, "DEFAULT_TIMEOUT": 120, "SERIALIZER": JOBS_SERIALIZER},  # clusters
    "messages": {"URL": _rq_url, "DEFAULT_TIMEOUT": 120, "SERIALIZER": JOBS_SERIALIZER},  # Slack, GitHub
    "git": {"URL": _rq_url, "DEFAULT_TIMEOUT": 180, "SERIALIZER": JOBS_SERIALIZER},
    "short": {
        "URL": _rq_url,
        "DEFAULT_TIMEOUT": 120,
        "SERIALIZER": JOBS_SERIALIZER,
    },  # AWS, and the portal's own work
    "registry": {"URL": _rq_url, "DEFAULT_TIMEOUT": 300, "SERIALIZER": JOBS_SERIALIZER},
}
RQ = {"COMMIT_MODE": "auto", "WORKER_CLASS": "core.worker.Worker", "JOB_CLASS": "core.listed.ListedJob"}
# Every function that a worker runs, whatever Redis says (core/listed.py).
JOBS = (
    "audit.integrity.verify_job",
    "builds.deciding.decide",
    "builds.jobs.build_for_others",
    "builds.jobs.run_build",
    "builds.jobs.tend_engine",
    "builds.missed.look_at",
    "clusters.jobs.refresh_cluster",
    "clusters.jobs.refresh_live",
    "deployments.branches.refresh",
    "deployments.jobs.deploy_green",
    "deployments.jobs.run_deploy",
    "notify.outbox.send_due",
    "portal.status.asking.ask",
    "portal.status.asking.ask_cluster",
    "projects.mirrors.remove_unused",
    "projects.mirrors.tidy",
    "registry.jobs.look_at",
    "registry.jobs.refresh_asked",
    "secrets_ui.jobs.learn_version",
    "secrets_ui.jobs.look_at",
    "secrets_ui.jobs.settle_version",
    "secrets_ui.jobs.tend_creation",
    "secrets_ui.jobs.tend_request",
)
RQ_SHOW_ADMIN_LINK = False
WORKER_PRELOAD = [
    "deployments.pipeline.pipeline",
    "clusters.jobs",
    "notify.outbox",
    "deployments.branches",
    "builds.missed",
    "secrets_ui.jobs",
    "registry.jobs",
    "builds.jobs",
    "docker",
    "adapters.kubernetes.http",
    "boto3",
]

# Throttling of sign-in must hold across processes and must not depend on Redis. Django's default keeps 300 entries and
# drops arbitrary ones beyond that, which would drop sessions and the counters of refused sign-ins.
CACHES = {
    "default": {
        "BACKEND": "core.signedcache.SignedDatabaseCache",
        "LOCATION": "cache_entries",
        "OPTIONS": {"MAX_ENTRIES": 20_000},
    }
}

AUTH_USER_MODEL = "people.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_REAUTHENTICATION_TIMEOUT = 15 * 60  # seconds: secret values of production need a sign-in that fresh
ACCOUNT_ADAPTER = "people.adapter.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_RATE_LIMITS = {"login": "60/m/ip", "login_failed": "10/m/ip,5/5m/key", "reauthenticate": "10/m/user"}
ALLAUTH_TRUSTED_CLIENT_IP_HEADER = None
ACCOUNT_FORMS = {"login": "people.forms.SignInForm", "change_password": "people.forms.OwnPasswordForm"}
MFA_FORMS = {"activate_totp": "people.forms.AuthenticatorForm"}
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
MFA_TOTP_ISSUER = "Slipway"
MFA_ADAPTER = "people.mfa.MFAAdapter"
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.ScryptPasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]

SESSION_COOKIE_AGE = env.integer("SESSION_HOURS", 12) * 3600
SESSION_SAVE_EVERY_REQUEST = False
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_ENGINE = "django.contrib.sessions.backends.db"
CSRF_FAILURE_VIEW = "portal.errors.csrf_failure"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS and TRUSTED_PROXIES else None
X_FRAME_OPTIONS = "DENY"
# The proxy redirects plain HTTP. HSTS covers this host only, because one host must not decide for its whole domain.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W008", "security.W021"]
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
    }
}

LANGUAGE_CODE = "en-gb"
USE_I18N = False
USE_TZ = True
TIME_ZONE = "UTC"

STATIC_URL = "/static/"
STATIC_ROOT = Path(env.text("STATIC_ROOT", str(DATA_DIR / "static")))
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "ui.static.StaticFiles"},
}
# Serves the source folders beside the collected files (ui/static.py). Each file is looked up once, at start.
SERVESTATIC_USE_FINDERS = True
SERVESTATIC_USE_ZSTD = SERVESTATIC_USE_BROTLI = False  # every browser takes gzip
SERVESTATIC_AUTOREFRESH = False

# In bytes. portal/asgi.py refuses longer bodies before anything is read; views that take files say so (core/incoming.py).
# No body is longer than what is kept in memory, so none reaches a disk.
LONGEST_BODY = 1_000_000
DATA_UPLOAD_MAX_MEMORY_SIZE = FILE_UPLOAD_MAX_MEMORY_SIZE = 2_621_440
FILE_UPLOAD_HANDLERS = ["core.uploads.InMemory"]

GIT_PROTOCOLS = tuple(env.words("GIT_PROTOCOLS", "https,ssh"))
# Private networks in which Git hosts may be. None: maintainers' addresses lead to public hosts only.
GIT_PRIVATE_NETWORKS = tuple(env.words("GIT_PRIVATE_NETWORKS"))
GIT_MIRRORS = DATA_DIR / "git"
GIT_MIRRORS_GB = env.integer("GIT_MIRRORS_GB", 20)
# The Docker engine of the workers of builds, as for Docker's own command line.
DOCKER_HOST = env.text("DOCKER_HOST", "unix:///var/run/docker.sock")
DOCKER_CERT_PATH = env.text("DOCKER_CERT_PATH")
DOCKER_BUILDER = env.text("DOCKER_BUILDER")  # buildkit or classic; empty: the best that the engine has
BUILD_NETWORK = env.text("BUILD_NETWORK")  # none: steps (RUN) reach no network; empty: the engine's default
DOCKER_KEEP_DAYS = env.integer("DOCKER_KEEP_DAYS", 7)
DOCKER_KEEP_GB = env.integer("DOCKER_KEEP_GB", 20)
BUILD_CONTEXT_MB = env.integer("BUILD_CONTEXT_MB", 500)
SLACK_BOT_TOKEN = env.text("SLACK_BOT_TOKEN")
SLACK_API_URL = env.text("SLACK_API_URL")
GITHUB_API_URL = env.text("GITHUB_API_URL", "https://api.github.com").rstrip("/") or "https://api.github.com"
GITHUB_TOKEN = env.text("GITHUB_TOKEN")
GITHUB_WEBHOOK_SECRET = env.text("GITHUB_WEBHOOK_SECRET")
OPERATIONS_CHANNEL = env.text("OPERATIONS_CHANNEL")
METRICS_TOKEN = env.text("METRICS_TOKEN")
METRICS_NETWORKS = env.words("METRICS_NETWORKS")

LOGGING_CONFIG = None
configure_logging(env.text("LOG_LEVEL", "INFO"))

SENTRY_DSN = env.text("SENTRY_DSN")
if SENTRY_DSN:
    from core.sentry import start_sentry

    start_sentry(SENTRY_DSN, release=VERSION)
