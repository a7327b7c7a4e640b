"""The sandbox's AWS: moto's Secrets Manager, ECR and STS, patched where they differ from AWS, and ECR's registry.

`python -m sandbox.aws --directory D --port P` serves all of it on one port of 127.0.0.1: the AWS APIs at
`/`, the registry at `/v2/`. It stores all state in D, so that a restart finds the same VersionIds, images and tokens.
"""

ACCOUNT = "123456789012"
REGION = "eu-west-2"
