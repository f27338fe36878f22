"""Django's settings for the database that the environment names."""

import os

import django
import pymysql
from django.conf import settings


def configure(**more):
    """Makes Django ready; `more` are settings besides."""
    pymysql.install_as_MySQLdb()
    settings.configure(
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.mysql",
                "NAME": os.environ["TOOL_DATABASE"],
                "USER": os.environ["TOOL_USER"],
                "PASSWORD": os.environ["TOOL_PASSWORD"],
                "HOST": os.environ["TOOL_HOST"],
                "PORT": os.environ["TOOL_PORT"],
                "OPTIONS": {"charset": "utf8mb4", "ssl_disabled": True},
            }
        },
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions"],
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        USE_TZ=True,
        SECRET_KEY="of a test",  # noqa: S106
        **more,
    )
    django.setup()
