"""Who gets which answer at which address: the whole table. Read a row as: name, address, GET, POST.

Each answer is eight statuses in the order of COLUMNS, or one of the words below for rows that are alike. 302: sent to
the sign-in page or to where the action leads; 401: a form after the session ended; 403: too weak, with the reason and
whom to ask; 404: a stranger, who does not learn that the thing exists; 405: no such method; 422: allowed, and the empty
form is refused.
"""

from __future__ import annotations

COLUMNS = ("anonymous", "stranger", "viewer", "deployer", "maintainer", "admin", "auditor", "deploys staging")

#              anon str view depl main admi audi staging
ALWAYS = "      200 200 200 200 200 200 200 200"
SIGNED_IN = "   302 200 200 200 200 200 200 200"
SEES = "        302 404 200 200 200 200 404 200"
DEPLOYS = "     302 404 403 200 200 200 404 200"
ELSEWHERE = "   302 404 403 200 200 200 404 403"  # an environment that the last one has no role on
KEEPS = "       302 404 403 403 200 200 404 403"
ADMINS = "      302 403 403 403 403 200 403 403"
AUDITS = "      302 403 403 403 403 200 200 403"
GOES_ON = "     302 302 302 302 302 302 302 302"
NO_FORM = "     401 405 405 405 405 405 405 405"
ONLY_A_FORM = " 302 405 405 405 405 405 405 405"
NOBODY = "      405 405 405 405 405 405 405 405"


def post(getting: str, done: int) -> str:
    """The answers to a form where those to the page are `getting`: 401 without a session, `done` for who may."""
    return getting.replace("302", "401", 1).replace("200", str(done))


HAS_NO_SECOND_STEP = "302 404 404 404 404 404 404 404"
SETTINGS = "/projects/shop/settings/"
SECRETS = "/projects/shop/staging/secrets/"

TABLE: tuple[tuple[str, str, str, str], ...] = (
    ("healthz", "/healthz", ALWAYS, NOBODY),
    ("readyz", "/readyz", ALWAYS, NOBODY),
    ("metrics", "/metrics", ALWAYS.replace("200", "404"), NOBODY),  # switched off where neither of its settings is set
    ("status", "/status/", SIGNED_IN, NO_FORM),
    ("changes", "/changes/", SIGNED_IN, NO_FORM),
    ("search", "/search/", SIGNED_IN, NO_FORM),
    # Signing in, and one's own account
    ("account_login", "/login/", "200 302 302 302 302 302 302 302", "200 302 302 302 302 302 302 302"),
    ("account_logout", "/logout/", SIGNED_IN, GOES_ON),
    ("account_inactive", "/inactive/", ALWAYS, NOBODY),
    ("account_reauthenticate", "/reauthenticate/", SIGNED_IN, post(SIGNED_IN, 200)),
    ("account_change_password", "/password/change/", SIGNED_IN, post(SIGNED_IN, 200)),
    ("raw_password", "/django-admin/password_change/", GOES_ON, post(SIGNED_IN, 302)),
    ("account_set_password", "/password/set/", GOES_ON, post(SIGNED_IN, 302)),
    ("mfa_index", "/account/mfa/", SIGNED_IN, NO_FORM),
    ("mfa_authenticate", "/account/mfa/authenticate/", GOES_ON, GOES_ON),
    ("mfa_reauthenticate", "/account/mfa/reauthenticate/", GOES_ON, post(SIGNED_IN, 302)),
    ("mfa_activate_totp", "/account/mfa/totp/activate/", GOES_ON, post(SIGNED_IN, 302)),
    ("mfa_deactivate_totp", "/account/mfa/totp/deactivate/", HAS_NO_SECOND_STEP, post(HAS_NO_SECOND_STEP, 302)),
    ("mfa_view_recovery_codes", "/account/mfa/recovery-codes/", HAS_NO_SECOND_STEP, NO_FORM),
    ("mfa_generate_recovery_codes", "/account/mfa/recovery-codes/generate/", GOES_ON, post(SIGNED_IN, 302)),
    ("mfa_download_recovery_codes", "/account/mfa/recovery-codes/download/", HAS_NO_SECOND_STEP,
     post(HAS_NO_SECOND_STEP, 302)),
    ("people:account", "/account/", SIGNED_IN, post(SIGNED_IN, 302)),
    ("people:setup", "/setup/no-such-token/", ALWAYS.replace("200", "403"), ALWAYS.replace("200", "403")),
    # The portal's admin
    ("portal:admin", "/admin/", ADMINS, NO_FORM),
    ("people:people", "/admin/people/", ADMINS, NO_FORM),
    ("people:person-new", "/admin/people/new/", ADMINS, post(ADMINS, 422)),
    ("people:person", "/admin/people/{person}/", ADMINS, post(ADMINS, 302)),
    ("people:person-archive", "/admin/people/{person}/archive/", ADMINS, post(ADMINS, 422)),
    ("people:person-password", "/admin/people/{person}/password/", ONLY_A_FORM, post(ADMINS, 422)),
    ("people:person-link", "/admin/people/{person}/link/", ONLY_A_FORM, post(ADMINS, 200)),
    ("people:person-second-step", "/admin/people/{person}/second-step/", ADMINS.replace("200", "302"), post(ADMINS, 302)),
    ("projects:first-steps", "/admin/first-steps/", SIGNED_IN, NO_FORM),
    ("projects:allotments", "/admin/allotments/", ADMINS, NO_FORM),
    ("projects:allotment-new", "/admin/allotments/new/", ADMINS, post(ADMINS, 422)),
    (
        "projects:allotment-withdraw",
        "/admin/allotments/{allotment}/withdraw/",
        ONLY_A_FORM,
        post(ADMINS, 302),
    ),
    ("projects:clusters", "/admin/clusters/", ADMINS, NO_FORM),
    ("projects:cluster-new", "/admin/clusters/new/", ADMINS, post(ADMINS, 422)),
    ("projects:cluster", "/admin/clusters/lon1/", ADMINS, post(ADMINS, 422)),
    ("projects:cluster-archive", "/admin/clusters/lon1/archive/", ADMINS, post(ADMINS, 422)),
    ("projects:cluster-check", "/admin/clusters/lon1/check/", ONLY_A_FORM, post(ADMINS, 200)),
    ("projects:registries", "/admin/registries/", ADMINS, NO_FORM),
    ("projects:registry-new", "/admin/registries/new/", ADMINS, post(ADMINS, 422)),
    ("projects:registry", "/admin/registries/ecr/", ADMINS, post(ADMINS, 422)),
    ("projects:registry-archive", "/admin/registries/ecr/archive/", ADMINS, post(ADMINS, 422)),
    ("projects:registry-check", "/admin/registries/ecr/check/", ONLY_A_FORM, post(ADMINS, 200)),
    # Settings of a project
    ("projects:new", "/projects/new/", ADMINS, post(ADMINS, 422)),
    ("projects:settings", SETTINGS, KEEPS, post(KEEPS, 422)),
    ("projects:archived", "/archived/", SIGNED_IN, NO_FORM),
    ("projects:project-archive", f"{SETTINGS}archive/", ADMINS, post(ADMINS, 422)),
    ("projects:settings-check", f"{SETTINGS}check/", ONLY_A_FORM, post(KEEPS, 200)),
    ("projects:environments", f"{SETTINGS}environments/", KEEPS, NO_FORM),
    ("projects:environment-new", f"{SETTINGS}environments/new/", KEEPS, post(KEEPS, 422)),
    ("projects:proposals", f"{SETTINGS}proposals/", KEEPS, post(KEEPS, 422)),
    ("projects:environment", f"{SETTINGS}environments/staging/", KEEPS, post(KEEPS, 422)),
    ("projects:environment-archive", f"{SETTINGS}environments/staging/archive/", KEEPS, post(KEEPS, 422)),
    ("projects:environment-check", f"{SETTINGS}environments/staging/check/", ONLY_A_FORM, post(KEEPS, 200)),
    ("projects:environment-up", f"{SETTINGS}environments/production/up/", ONLY_A_FORM, post(KEEPS, 302)),
    ("projects:namespace_create", f"{SETTINGS}environments/staging/namespace/", ONLY_A_FORM, post(KEEPS, 502)),
    ("projects:variable-add", f"{SETTINGS}environments/staging/variable/", KEEPS, post(KEEPS, 422)),
    ("projects:images", f"{SETTINGS}images/", KEEPS, NO_FORM),
    ("projects:image-new", f"{SETTINGS}images/new/", KEEPS, post(KEEPS, 422)),
    ("projects:image", f"{SETTINGS}images/web/", KEEPS, post(KEEPS, 422)),
    ("projects:image-archive", f"{SETTINGS}images/web/archive/", KEEPS, post(KEEPS, 422)),
    ("projects:secrets-files", f"{SETTINGS}secrets-files/", KEEPS, NO_FORM),
    ("projects:secrets-file-new", f"{SETTINGS}secrets-files/new/", KEEPS, post(KEEPS, 422)),
    ("projects:secrets-file", f"{SETTINGS}secrets-files/{{file}}/", KEEPS, post(KEEPS, 422)),
    ("projects:secrets-file-remove", f"{SETTINGS}secrets-files/{{file}}/remove/", ONLY_A_FORM, post(KEEPS, 302)),
    ("pushes:settings", f"{SETTINGS}builds/", KEEPS, post(KEEPS, 422)),
    ("pushes:keys", f"{SETTINGS}builds/keys/", KEEPS, post(KEEPS, 302)),
    ("pushes:recipe", f"{SETTINGS}builds/images/web/", KEEPS, post(KEEPS, 302)),
    ("pushes:secret-new", f"{SETTINGS}builds/secrets/new/", KEEPS, post(KEEPS, 422)),
    ("pushes:secret", f"{SETTINGS}builds/secrets/{{build_secret}}/", KEEPS, post(KEEPS, 422)),
    ("pushes:secret-remove", f"{SETTINGS}builds/secrets/{{build_secret}}/remove/", ONLY_A_FORM, post(KEEPS, 302)),
    ("projects:members", f"{SETTINGS}members/", KEEPS, post(KEEPS, 422)),
    ("projects:member-revoke", f"{SETTINGS}members/{{member}}/revoke/", KEEPS, post(KEEPS, 302)),
    ("projects:person-roles", "/admin/people/{person}/roles/", ADMINS, post(ADMINS, 422)),
    # Pushes. The webhook knows its sender by the signature alone. A form that names no project finds none.
    ("pushes:github", "/webhooks/github/", NOBODY, ALWAYS.replace("200", "403")),
    ("pushes:deliveries", "/builds/deliveries/", SIGNED_IN, NO_FORM),
    ("pushes:replay", "/builds/deliveries/{delivery}/replay/", ONLY_A_FORM, "401 404 404 404 404 404 404 404"),
    # What everybody of a project sees
    ("portal:board", "/", SIGNED_IN, NO_FORM),
    ("portal:project", "/projects/shop/", SEES, NO_FORM),
    ("portal:first-deploy", "/projects/shop/settings/first-deploy/", SEES.replace("200", "302"), NO_FORM),
    ("deployments:environment", "/projects/shop/staging/", SEES, NO_FORM),
    ("deployments:alarms", "/projects/shop/staging/alarms/", SEES, NO_FORM),
    ("deployments:changed-secrets", "/projects/shop/staging/changed-secrets/", SEES, NO_FORM),
    ("deployments:history", "/deploys/", SIGNED_IN, NO_FORM),
    ("deployments:export", "/deploys/export.csv", SIGNED_IN, NO_FORM),
    ("deployments:deploy", "/deploys/{good}/", SEES, NO_FORM),
    ("deployments:progress", "/deploys/{good}/progress/", SEES, NO_FORM),
    ("deployments:log", "/deploys/{good}/log", SEES, NO_FORM),
    ("deployments:stream", "/deploys/{good}/stream", SEES, NO_FORM),
    # Deploying. Production asks for its name (302: back to the page with the question); nothing answers from outside (502)
    ("deployments:new", "/projects/shop/staging/deploy/", DEPLOYS, post(DEPLOYS, 422)),
    ("deployments:new", "/projects/shop/production/deploy/", ELSEWHERE, post(ELSEWHERE, 422)),
    ("deployments:preview", "/projects/shop/staging/deploy/preview/", DEPLOYS, NO_FORM),
    ("deployments:preview", "/projects/shop/production/deploy/preview/", ELSEWHERE, NO_FORM),
    ("deployments:cancel", "/deploys/{running}/cancel/", ONLY_A_FORM, post(DEPLOYS, 302)),
    ("deployments:rollback", "/deploys/{good}/rollback/", ONLY_A_FORM, post(DEPLOYS, 302)),
    ("deployments:rollback", "/deploys/{there}/rollback/", ONLY_A_FORM, post(ELSEWHERE, 302)),
    ("deployments:again", "/deploys/{good}/again/", ONLY_A_FORM, post(DEPLOYS, 502)),
    ("deployments:again", "/deploys/{there}/again/", ONLY_A_FORM, post(ELSEWHERE, 302)),
    ("deployments:mark-bad", "/deploys/{good}/bad/", ONLY_A_FORM, post(DEPLOYS, 302)),
    ("deployments:mark-bad", "/deploys/{there}/bad/", ONLY_A_FORM, post(ELSEWHERE, 302)),
    ("deployments:unmark", "/deploys/{good}/not-bad/", ONLY_A_FORM, post(DEPLOYS, 302)),
    ("deployments:unmark", "/deploys/{there}/not-bad/", ONLY_A_FORM, post(ELSEWHERE, 302)),
    # Builds. A role on an environment lets one deploy there, not build
    ("builds:list", "/builds/", SIGNED_IN, NO_FORM),
    ("builds:images", "/builds/images/", SIGNED_IN, NO_FORM),
    ("builds:new", "/builds/new/", SIGNED_IN, post(SIGNED_IN, 422)),
    ("builds:build", "/builds/{build}/", SEES, NO_FORM),
    ("builds:progress", "/builds/{build}/progress/", SEES, NO_FORM),
    ("builds:log", "/builds/{build}/log", SEES, NO_FORM),
    ("builds:stream", "/builds/{build}/stream", SEES, NO_FORM),
    ("builds:cancel", "/builds/{building}/cancel/", ONLY_A_FORM, post(ELSEWHERE, 302)),
    ("builds:retry", "/builds/{build}/retry/", ONLY_A_FORM, post(ELSEWHERE, 302)),
    ("builds:rebuild", "/builds/{build}/rebuild/", ONLY_A_FORM, post(ELSEWHERE, 302)),
    # Secrets. Nothing answers from outside, so that nothing is known of the secret: 409
    ("secrets:overview", "/secrets/", SIGNED_IN, NO_FORM),
    ("secrets:environment", SECRETS, SEES, NO_FORM),
    ("secrets:compare", f"{SECRETS}compare/", SEES, post(SEES, 422)),
    ("secrets:copy", f"{SECRETS}{{file}}/copy/", KEEPS, post(KEEPS, 422)),
    ("secrets:import", f"{SECRETS}{{file}}/import/", KEEPS, post(KEEPS, 422)),
    ("secrets:preview", f"{SECRETS}{{file}}/import/preview/", post(KEEPS, 302).replace("401", "302"), post(KEEPS, 302)),
    ("secrets:download", f"{SECRETS}{{file}}/download/", KEEPS, post(KEEPS, 422)),
    ("secrets:requests", f"{SECRETS}{{file}}/requests/", SEES, NO_FORM),
    # There is no such request; what needs a right refuses before it looks.
    ("secrets:request", f"{SECRETS}{{file}}/requests/7/", SEES.replace("200", "404"), post(SEES, 404)),
    ("secrets:request-redo", f"{SECRETS}{{file}}/requests/7/redo/", ONLY_A_FORM, post(KEEPS, 404)),
    ("secrets:request-reveal", f"{SECRETS}{{file}}/requests/7/reveal/", ONLY_A_FORM, post(KEEPS, 404)),
    ("secrets:read", f"{SECRETS}{{file}}/read/", ONLY_A_FORM, post(SEES, 302)),
    ("secrets:versions", f"{SECRETS}{{file}}/versions/", SEES, post(KEEPS, 422)),
    ("secrets:create", f"{SECRETS}{{file}}/create/", KEEPS, post(KEEPS, 422)),
    ("secrets:creation", f"{SECRETS}{{file}}/create/7/", SEES.replace("200", "404"), post(SEES, 404)),
    ("secrets:reveal", f"{SECRETS}{{file}}/reveal/", ONLY_A_FORM, post(KEEPS, 422)),
    ("secrets:draft", f"{SECRETS}{{file}}/draft/", ONLY_A_FORM, post(KEEPS, 422)),
    ("secrets:open", f"{SECRETS}{{file}}/open/", ONLY_A_FORM, post(KEEPS, 302)),
    ("secrets:set", f"{SECRETS}{{file}}/set/", ONLY_A_FORM, post(KEEPS, 422)),
    ("secrets:add", f"{SECRETS}{{file}}/add/", ONLY_A_FORM, post(KEEPS, 422)),
    ("secrets:rename", f"{SECRETS}{{file}}/rename/", ONLY_A_FORM, post(KEEPS, 422)),
    ("secrets:remove", f"{SECRETS}{{file}}/remove/", ONLY_A_FORM, post(KEEPS, 422)),
    ("secrets:secret-new", f"{SECRETS}{{file}}/secret/new/", KEEPS, post(KEEPS, 422)),
    ("secrets:secret-drop", f"{SECRETS}{{file}}/secret/remove/", ONLY_A_FORM, post(KEEPS, 302)),
    ("secrets:undo", f"{SECRETS}{{file}}/undo/", ONLY_A_FORM, post(KEEPS, 302)),
    ("secrets:discard", f"{SECRETS}{{file}}/discard/", ONLY_A_FORM, post(KEEPS, 409)),
    ("secrets:mend", f"{SECRETS}{{file}}/mend/", ONLY_A_FORM, post(KEEPS, 302)),
    ("secrets:review", f"{SECRETS}{{file}}/review/", post(KEEPS, 302).replace("401", "302"), post(KEEPS, 302)),
    ("secrets:decide", f"{SECRETS}{{file}}/decide/", ONLY_A_FORM, post(KEEPS, 302)),
    # Pull credentials. An address that names nothing goes to everything, which is for admins
    ("registry:overview", "/registry/", SIGNED_IN, NO_FORM),
    ("registry:image", "/registry/images/shop/web/", SEES, NO_FORM),
    ("registry:refresh", "/registry/refresh/", ONLY_A_FORM, post(ADMINS, 302)),
    ("registry:pause", "/registry/lon1/pause/", ADMINS, post(ADMINS, 422)),
    ("registry:resume", "/registry/lon1/resume/", ONLY_A_FORM, post(ADMINS, 302)),
    ("registry:adopt", "/registry/lon1/adopt/", ONLY_A_FORM, post(ADMINS, 404)),
    ("registry:settings", "/registry/lon1/settings/", ADMINS, post(ADMINS, 422)),
    # The audit
    ("audit:list", "/audit/", AUDITS, NO_FORM),
    ("audit:export", "/audit/export.csv", AUDITS, NO_FORM),
    ("audit:event", "/audit/{event}/", AUDITS, NO_FORM),
    ("audit:verify", "/audit/verify/", ONLY_A_FORM, post(AUDITS, 302)),
)  # fmt: skip
