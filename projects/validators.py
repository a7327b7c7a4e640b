"""Validators of the fields of this app's models."""

from __future__ import annotations

from django.core.validators import RegexValidator

REGION = RegexValidator(r"\A[a-z]{2}(-[a-z]+)+-\d\Z", "Write an AWS region, e.g. eu-west-2.")
NAMESPACE = RegexValidator(r"\A[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z", "Write a Kubernetes namespace name.")
ROLE_ARN = RegexValidator(
    r"\Aarn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+\Z", "Write the ARN of an IAM role."
)
RELATIVE_PATH = RegexValidator(
    r"\A(?!/)(?!.*(^|/)\.\.?(/|$))[A-Za-z0-9._/ -]+\Z", "Write a path inside the repository, without “..”."
)
REPOSITORY = RegexValidator(
    r"\A[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*\Z",
    "Write a repository name of the registry, e.g. storefront/web.",
)
