"""Catalog: an API of two images behind one ingress with a certificate. Its production was deployed by hand
so far.
"""

from __future__ import annotations

from sandbox.samples.model import Change, Edit, Environment, Image, SampleProject, SecretsFile, Variable
from sandbox.samples.people import DEVIN, LENA, ROBIN, SASHA

_STAGING, _PRODUCTION = "kubernetes/staging", "kubernetes/production"


def _both(file: str, old: str, new: str) -> tuple[Edit, ...]:
    """The same edit in staging and production."""
    return tuple(Edit(f"{directory}/{file}", old, new) for directory in (_STAGING, _PRODUCTION))


_MAIN = (
    Change(ROBIN, 2230, "Start the catalog with its API", add=("README.md", "api")),
    Change(SASHA, 2120, "Search products by name, brand and description", add=("search",)),
    Change(
        LENA,
        1990,
        "Deploy to staging",
        add=tuple(f"{_STAGING}/{name}.yaml" for name in ("api", "search", "secrets")),
    ),
    Change(LENA, 1961, "Serve the catalog at its own host", add=(f"{_STAGING}/ingress.yaml",)),
    Change(LENA, 1730, "Deploy to production", add=(_PRODUCTION,)),
    Change(
        SASHA,
        1288,
        "Let the brand weigh more than the description",
        edits=(Edit("search/ranking.go", '"brand": 2', '"brand": 2.5'),),
    ),
    Change(
        ROBIN,
        990,
        "Give the API its own deadline for starting",
        edits=_both("api.yaml", "progressDeadlineSeconds: 120", "progressDeadlineSeconds: 180"),
    ),
    Change(
        DEVIN,
        620,
        "Answer 404 in JSON",
        edits=(
            Edit(
                "api/products.go",
                "http.NotFound(w, r)",
                'http.Error(w, `{"error": "no such product"}`, http.StatusNotFound)',
            ),
        ),
    ),
    Change(
        SASHA,
        401,
        "Two search pods in production are not enough at noon",
        edits=(Edit(f"{_PRODUCTION}/search.yaml", "replicas: 2", "replicas: 3"),),
    ),
    Change(
        ROBIN,
        208,
        "Raise the memory of the search pods",
        edits=_both("search.yaml", "memory: 256Mi", "memory: 320Mi"),
        body="The index grew by a fifth since spring.",
    ),
    Change(
        DEVIN,
        121,
        "Renew certificates earlier",
        edits=_both("ingress.yaml", "renewBefore: 720h", "renewBefore: 960h"),
    ),
    Change(
        LENA,
        47,
        "Check the API's health more often",
        edits=_both(
            "api.yaml",
            "              port: http\n          resources",
            "              port: http\n            periodSeconds: 5\n          resources",
        ),
    ),
    Change(
        SASHA,
        9,
        "Prefer exact names",
        edits=(Edit("search/ranking.go", '"name": 4', '"name": 5'),),
    ),
)

_CRASH_LOG = (
    "2026/01/01 00:00:00 setting PRICE_FEED_URL is missing\\n"
    "panic: setting PRICE_FEED_URL is missing\\n\\n"
    "goroutine 1 [running]:\\n"
    "log.Panicf({0x7f1c11?, 0x14?}, {0xc00012fe48?, 0x1?, 0x1?})\\n"
    "\\t/usr/local/go/src/log/log.go:439 +0x65\\n"
    "main.setting({0x7f0a4e, 0xe})\\n"
    "\\t/srv/catalog/api/main.go:12 +0x8a\\n"
    "main.main()\\n"
    "\\t/srv/catalog/api/main.go:19 +0x59"
)

_BROKEN = (
    Change(
        DEVIN,
        2.0,
        "Take prices from the price feed",
        edits=(
            Edit(
                "api/main.go",
                "\tstore := open(",
                '\tfeed := subscribe(setting("PRICE_FEED_URL"))\n\tdefer feed.close()\n\tstore := open(',
            ),
            Edit("api/Dockerfile", 'behaviour="ready"', 'behaviour="crash"'),
            Edit(
                "api/Dockerfile", "connected to database catalog, schema 41\\nlistening on :8000", _CRASH_LOG
            ),
        ),
    ),
)


def _secrets_file(environment: str, *, windows: bool = False) -> SecretsFile:
    return SecretsFile(
        path=f"kubernetes/{environment}/secrets.yaml",
        secret_id=f"slipway/catalog/{environment}",
        values={
            "DATABASE_URL": f"postgres://catalog:{{random}}@db.{environment}.internal:5432/catalog",
            "API_SIGNING_KEY": "{random}{random}",
        },
        windows=windows,
    )


CATALOG = SampleProject(
    slug="catalog",
    name="Catalog",
    description="What a product is and costs: API and search behind one ingress.",
    files="catalog",
    slack_channel="#catalog",
    needs="cluster-base",  # defines the kinds of the certificate
    main=_MAIN,
    broken=_BROKEN,
    images=(
        Image("catalog-api", "catalog/api", "api/Dockerfile", scan="slow"),
        Image("search", "catalog/search", "search/Dockerfile"),
    ),
    environments=(
        Environment(
            slug="staging",
            name="Staging",
            order=1,
            auto_deploy="main",
            namespace="catalog-staging",
            config_directory=_STAGING,
            variables=(
                Variable("PUBLIC_HOST", "catalog.staging.example.com"),
                Variable("CACHE_SECONDS", "5"),
            ),
            secrets_files=(_secrets_file("staging"),),
            seeded=("main~1",),
        ),
        Environment(
            slug="production",
            name="Production",
            order=2,
            production=True,
            namespace="catalog-production",
            config_directory=_PRODUCTION,
            variables=(Variable("PUBLIC_HOST", "catalog.example.com"), Variable("CACHE_SECONDS", "300")),
            secrets_files=(_secrets_file("production", windows=True),),
            by_kubectl="main~5",
        ),
    ),
)
