"""ASGI entry point: `uvicorn portal.asgi:application`."""

import os

from django.core.asgi import get_asgi_application

from core.redaction import redacted

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
application = redacted(get_asgi_application())
