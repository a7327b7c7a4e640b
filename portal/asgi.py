"""ASGI entry point: `uvicorn portal.asgi:application --no-proxy-headers`.

Without that option uvicorn believes `X-Forwarded-For` of every program on this machine; only TRUSTED_PROXIES decides.
"""

import os
from importlib import import_module

from django.conf import settings
from django.core.asgi import get_asgi_application

from core.collector import leave_out_what_is_loaded
from core.parent import end_with_parent
from core.redaction import redacted
from portal.database import use_pool

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
end_with_parent()
use_pool(settings.DATABASES["default"], settings.DATABASE_CONNECTIONS)
_django = get_asgi_application()

from core.incoming import bounded  # noqa: E402  # after Django's setup: it looks at the views
from portal.errors import too_large  # noqa: E402

application = redacted(bounded(_django, too_large))
# The views, too: else they are loaded, and looked at, by the first requests.
import_module(settings.ROOT_URLCONF)
leave_out_what_is_loaded()
