"""The people of the samples: those who sign in and those who wrote the commits."""

from __future__ import annotations

from sandbox.samples.model import Author, SamplePerson

PEOPLE = (
    SamplePerson("admin", "Avery Admin", "admin@example.com", "admin"),
    SamplePerson("lead", "Lena Lead", "lead@example.com", "maintainer"),
    SamplePerson("dev", "Devin Developer", "dev@example.com", "deployer"),
    SamplePerson("viewer", "Vic Viewer", "viewer@example.com", "viewer"),
)

DEVIN = Author("Devin Developer", "dev@example.com")
LENA = Author("Lena Lead", "lead@example.com")
ROBIN = Author("Robin Sample", "robin@example.com")
SASHA = Author("Sasha Example", "sasha@example.com")
