from django.apps import AppConfig


class PeopleConfig(AppConfig):
    """The user model, sign-in, the first admin."""

    name = "people"

    def ready(self) -> None:
        from audit import targets
        from core import rotation
        from people import signals  # noqa: F401  (sign-in and sign-out are audited)

        rotation.also("mfa.Authenticator", "data")  # people/mfa.py encrypts the secrets in it
        targets.have_no_page("user")  # only admins may open an account's page, auditors may not
