"""The adapter for allauth's MFA: it encrypts the secrets of authenticators at rest, like every other credential."""

from __future__ import annotations

from allauth.mfa.adapter import DefaultMFAAdapter

from core.fields import decrypt, encrypt


class MFAAdapter(DefaultMFAAdapter):
    """Encrypts TOTP secrets and the seeds of recovery codes with ENCRYPTION_KEYS."""

    def encrypt(self, text: str) -> str:
        """Called before a secret is stored."""
        return encrypt(text)

    def decrypt(self, encrypted_text: str) -> str:
        """Called before a secret is used. Raises CannotDecrypt when no key fits."""
        return decrypt(encrypted_text)
