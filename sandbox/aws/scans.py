"""Scans and archived images: what moto leaves out of ECR's image states.

A scan is ordered as in AWS (StartImageScan) and takes SCAN_SECONDS. Its findings follow from the image's label
`slipway.sandbox/findings` (`HIGH=1 LOW=4`); without the label there are none. The label `slipway.sandbox/scan=slow` makes a
scan that goes on for ever. Archiving is AWS's own call, UpdateImageStorageClass.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from moto.core.responses import ActionResult
from moto.ecr.exceptions import ImageNotFoundException, ScanNotFoundException
from moto.ecr.models import ECRBackend, Image
from moto.ecr.responses import ECRResponse

from sandbox.aws.images import FINDINGS, PACE
from sandbox.aws.mending import Method, mend, replace

SCAN_SECONDS = 30.0
_STATUS = {"ARCHIVE": "ARCHIVED", "STANDARD": "ACTIVE"}


def install(blobs: Path) -> None:
    """Applies the patches. `blobs`: the registry's folder, where the images' labels are found."""
    mend(ECRBackend, "start_image_scan", _start_image_scan)
    replace(ECRBackend, "describe_image_scan_findings", _describe(blobs))
    replace(ECRResponse, "update_image_storage_class", _update_image_storage_class)


def _image(backend: ECRBackend, repository: str, given: dict[str, Any], registry: str | None = None) -> Any:
    found = backend._get_repository(repository, registry)
    return found._get_image(given.get("imageTag"), given.get("imageDigest"))


def _start_image_scan(original: Method) -> Method:
    """Notes the scan's start on the image, where the snapshot keeps it."""

    def start_image_scan(
        self: ECRBackend, registry_id: str, repository_name: str, image_id: dict[str, Any]
    ) -> Any:
        answer = original(self, registry_id, repository_name, image_id)
        _image(self, repository_name, image_id, registry_id).scan_began = time.time()
        return answer

    return start_image_scan


def _describe(blobs: Path) -> Callable[..., dict[str, Any]]:
    def describe_image_scan_findings(
        self: ECRBackend, registry_id: str, repository_name: str, image_id: dict[str, Any]
    ) -> dict[str, Any]:
        image = _image(self, repository_name, image_id, registry_id)
        began = getattr(image, "scan_began", None)
        if began is None:
            told = f"{{imageDigest:'{image.get_image_digest()}', imageTag:'{image_id.get('imageTag') or 'null'}'}}"
            raise ScanNotFoundException(
                image_id=told, repository_name=repository_name, registry_id=self.account_id
            )
        return {
            "registryId": self.account_id,
            "repositoryName": repository_name,
            "imageId": {"imageDigest": image.get_image_digest(), **image_id},
            **_scan(began, labels_of(image, blobs)),
        }

    return describe_image_scan_findings


def _scan(began: float, labels: dict[str, str]) -> dict[str, Any]:
    ended = began + SCAN_SECONDS
    if labels.get(PACE) == "slow" or time.time() < ended:
        return {"imageScanStatus": {"status": "IN_PROGRESS"}}
    counts = {
        name: int(number) for name, _, number in (p.partition("=") for p in labels.get(FINDINGS, "").split())
    }
    at = datetime.fromtimestamp(ended, UTC)
    return {
        "imageScanStatus": {"status": "COMPLETE", "description": "The scan was completed successfully."},
        "imageScanFindings": {
            "imageScanCompletedAt": at, "vulnerabilitySourceUpdatedAt": at, "findingSeverityCounts": counts,
            "findings": [_finding(severity, n) for severity, number in counts.items() for n in range(number)],
        },
    }  # fmt: skip


def _finding(severity: str, number: int) -> dict[str, Any]:
    name = f"CVE-2026-{len(severity)}{number:03}"
    uri = f"https://cve.example/{name}"
    package = [{"key": "package_name", "value": "openssl"}, {"key": "package_version", "value": "3.0.11"}]
    return {"name": name, "uri": uri, "severity": severity, "attributes": package}


def labels_of(image: Image, blobs: Path) -> dict[str, str]:
    """The labels of an image's configuration; none of an index, or where it was not pushed."""
    digest = json.loads(image.image_manifest).get("config", {}).get("digest", "")
    path = blobs / digest.replace(":", "-")
    if not digest or not path.exists():
        return {}
    return json.loads(path.read_text()).get("config", {}).get("Labels") or {}


def _update_image_storage_class(self: ECRResponse) -> ActionResult:
    """Archives an image (it can then not be pulled) or restores it."""
    name, given = self._get_param("repositoryName"), self._get_param("imageId")
    image = _image(self.ecr_backend, name, given)
    if image is None:
        raise ImageNotFoundException(str(given), name, self.ecr_backend.account_id)
    image.image_status = _STATUS[self._get_param("targetStorageClass")]
    return ActionResult(
        {
            "registryId": self.ecr_backend.account_id, "repositoryName": name, "imageId": given,
            "imageStatus": image.image_status,
        }
    )  # fmt: skip
