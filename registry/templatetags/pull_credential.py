"""The pull credential in one line, as tags: `{% load pull_credential %}`."""

from __future__ import annotations

from django import template
from django.utils.safestring import SafeString

from projects.models import Cluster, Environment
from registry.pages.links import line_of_cluster, line_of_environment

register = template.Library()


@register.simple_tag
def pull_credential(environment: Environment) -> SafeString:
    """`{% pull_credential environment as line %}`: its state, time left and a link; empty where the environment names none."""
    return line_of_environment(environment)


@register.simple_tag
def pull_credentials_of(cluster: Cluster) -> SafeString:
    """`{% pull_credentials_of cluster %}`: in how many of its namespaces pulls work, with a link."""
    return line_of_cluster(cluster)
