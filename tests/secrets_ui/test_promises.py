"""What goes wrong with secrets elsewhere, and the test that shows that it does not go wrong here.

`COMPLAINTS`: what people say of other tools. `TRAPS`: how a secret is damaged or told without anybody noticing. A rule whose
test is renamed or removed fails here, so that it is not lost.
"""

from __future__ import annotations

import ast
from functools import cache

import pytest

from sandbox.layout import ROOT

UI = "tests/secrets_ui"
COMPLAINTS = {
    "nobody does base64 by hand": (
        f"{UI}/test_pages.py::test_a_value_is_typed_reviewed_and_saved",
        f"{UI}/test_exactness.py::test_text_and_its_base64_are_the_same_value",
    ),
    "editing one key leaves binary values of others as they are": (
        f"{UI}/test_edit_cases.py::test_binary_values_of_other_keys_survive",
        f"{UI}/test_edit_properties.py::test_setting_one_value_changes_only_its_own_characters",
    ),
    "a line end or space at an end is seen, and kept unless a person takes it away": (
        f"{UI}/test_pages.py::test_invisible_mistakes_are_pointed_out_and_mended_by_one_click",
        f"{UI}/test_pages.py::test_text_is_stored_as_typed",
        f"{UI}/test_values.py::test_each_mistake_is_named_and_mended",
    ),
    "plain text where base64 belongs, and base64 of base64, are named in words": (
        f"{UI}/test_values.py::test_plain_text_where_base64_belongs",
        f"{UI}/test_bad_input.py::test_text_that_is_no_base64_is_named_and_can_be_looked_at",
        f"{UI}/test_bad_input.py::test_a_value_that_cannot_be_stored",
    ),
    "values of several lines, and quotes in values, survive import and export": (
        f"{UI}/test_bulk.py::test_multi_line_values_keep_their_line_ends",
        f"{UI}/test_bulk.py::test_what_env_carries_comes_back",
        f"{UI}/test_bulk.py::test_a_secret_file_carries_everything",
    ),
    "many values are edited at once, and environments are compared": (
        f"{UI}/test_importing.py::test_a_paste_is_previewed_without_values_and_saved_by_the_review",
        f"{UI}/test_comparing.py::test_equal_and_different_are_told_without_a_value",
        f"{UI}/test_saving.py::test_a_reason_is_needed_and_what_was_typed_is_kept",
    ),
    "no edit is lost or overwrites another": (
        f"{UI}/test_two_portals.py::test_two_saves_of_different_keys_both_land",
        f"{UI}/test_two_portals.py::test_two_saves_of_the_same_key_are_one_conflict_and_both_values_are_there",
        f"{UI}/test_two_portals.py::test_a_save_against_a_restore",
        f"{UI}/test_two_portals.py::test_a_save_against_an_approval",
        f"{UI}/test_two_portals.py::test_a_save_against_a_writer_who_does_not_ask",
        f"{UI}/test_two_portals.py::test_a_portal_that_is_killed_at_its_calls",
    ),
    "no version is made for nothing, and one that AWS has removed is said to be so": (
        f"{UI}/test_exactness.py::test_opening_and_saving_unchanged_writes_nothing",
        "tests/projects/test_secret_files.py::test_a_pinned_version_that_is_gone_says_what_to_do",
        "tests/adapters/test_secrets_manager.py::test_binary_is_explained",
    ),
    "no tool around the portal tells a value": (
        "tests/e2e/test_canaries.py::test_not_in_the_database",
        "tests/e2e/test_canaries.py::test_not_in_redis",
        "tests/e2e/test_canaries.py::test_not_in_the_logs",
        "tests/e2e/test_canaries.py::test_not_in_slack",
        "tests/e2e/test_canaries.py::test_not_on_any_page",
        "tests/e2e/test_canaries.py::test_no_answer_of_the_tour_holds_a_value",
    ),
    "a key that is removed goes from the cluster": (
        "tests/kubernetes/test_secret_files.py::test_a_key_that_is_removed_goes_from_the_cluster",
    ),
    "keys of several lines are hidden in logs": (
        "tests/core/test_redactor.py::test_each_line_of_a_key_is_known",
        "tests/e2e/test_canaries.py::test_what_a_program_prints_is_masked",
    ),
    "who may not see values cannot have them decoded either": (
        f"{UI}/test_importing.py::test_who_may_not_reveal_gets_nothing",
        f"{UI}/test_saving.py::test_who_may_not_edit_changes_nothing_and_is_audited",
        f"{UI}/test_attacks.py::test_a_role_on_another_environment_is_no_right_to_test_guesses",
    ),
}
TRAPS = {
    "base64 that YAML takes for a number, a truth value or nothing stays text": (
        f"{UI}/test_edit_cases.py::test_base64_that_yaml_takes_for_something_else_is_quoted",
        f"{UI}/test_edit_cases.py::test_unquoted_base64_of_others_is_read_as_written_and_stays",
        f"{UI}/test_edit_properties.py::test_written_values_are_text_for_every_reader",
        "tests/engine/test_secretfiles.py::test_unquoted_base64_is_taken_as_written",
    ),
    "junk is no base64": (
        "tests/engine/test_secretfiles.py::test_what_is_refused",
        f"{UI}/test_bad_input.py::test_a_value_that_cannot_be_stored",
    ),
    "plain text that happens to be base64 is pointed out and not changed": (
        f"{UI}/test_values.py::test_plain_text_where_base64_belongs",
    ),
    "values that nobody touched are never sent through a form": (
        f"{UI}/test_pages.py::test_the_page_shows_states_and_no_value",
        f"{UI}/test_exactness.py::test_an_edit_changes_only_its_own_characters",
    ),
    "line ends are stored as LF, or CR LF where they were so; nothing is stripped": (
        f"{UI}/test_pages.py::test_windows_line_ends_stay_where_they_were",
        f"{UI}/test_exactness.py::test_a_text_is_kept_as_it_is_typed",
    ),
    "a form or file that is too long is refused in words, and no upload leaves a file behind": (
        f"{UI}/test_bad_input.py::test_a_form_that_is_far_too_long",
        f"{UI}/test_bad_input.py::test_a_value_that_cannot_be_stored",
        "tests/e2e/test_canaries.py::test_not_in_files",
    ),
    "names of keys are those that Kubernetes takes": (
        f"{UI}/test_edit_cases.py::test_keys_are_those_that_kubernetes_takes",
        f"{UI}/test_bad_input.py::test_a_name_that_is_none",
    ),
    "data and stringData together mean what Kubernetes means, and arrive as data": (
        f"{UI}/test_bad_input.py::test_a_key_in_both_parts_is_read_as_kubernetes_does_and_left_alone",
        "tests/engine/test_secretfiles.py::test_plain_text_becomes_base64_and_wins_over_data",
        "tests/kubernetes/test_secret_files.py::test_a_deploy_s_own_apply",
    ),
    "kubectl's copy of the values is not kept": (
        "tests/engine/test_render.py::test_the_copy_that_kubectl_keeps_is_left_out",
        "tests/engine/test_stored.py::test_kubectls_copy_is_not_kept_whoever_made_the_manifests",
    ),
    "an error of the API server or of AWS is told without the value that it quotes": (
        "tests/e2e/test_canaries.py::test_an_error_of_the_cluster_that_quotes_a_value_is_told_without_it",
        "tests/adapters/test_secrets_writer.py::test_of_a_denial_only_the_sentence_about_rights_is_repeated",
        f"{UI}/test_two_portals.py::test_what_aws_refuses_is_told_in_words_that_quote_nothing",
    ),
    "libraries that print bodies at DEBUG do not": (
        "tests/sandbox/test_secrets_writer.py::test_values_stay_out_of_logs_and_tracebacks",
        "tests/adapters/test_kubernetes_http.py::test_bodies_and_tokens_cannot_be_logged",
        "tests/e2e/test_canaries.py::test_not_in_the_logs",
    ),
    "jobs take ids only, and what Redis keeps of a failed one holds no value": (
        "tests/core/test_jobs.py::test_jobs_take_ids_only",
        "tests/core/test_worker.py::test_what_is_kept_of_a_failed_job_holds_no_value",
        f"{UI}/test_drafts.py::test_the_database_sees_it_encrypted_only",
    ),
    "a browser keeps nothing": (
        f"{UI}/test_canaries.py::test_browsers_are_told_to_keep_nothing",
        "tests/e2e/test_secrets.py::test_a_value_is_not_there_when_going_back",
        "tests/e2e/test_secrets.py::test_a_value_of_production_is_shown_for_a_while",
        "tests/e2e/test_secrets.py::test_nothing_is_left_in_the_browser_after_signing_out",
    ),
    "an error of the portal shows no field and no variable": (
        f"{UI}/test_canaries.py::test_an_error_of_ours_quotes_nothing",
        f"{UI}/test_canaries_of_many.py::test_an_error_of_ours_quotes_nothing",
        f"{UI}/test_canaries.py::test_django_s_own_report_hides_what_was_typed",
    ),
}  # fmt: skip


@cache
def names_in(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text())
    return frozenset(
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    )


@pytest.mark.parametrize("rule", [*COMPLAINTS, *TRAPS])
def test_each_rule_has_its_tests(rule: str) -> None:
    shown = (COMPLAINTS | TRAPS)[rule]
    missing = [name for name in shown if name.partition("::")[2] not in names_in(name.partition("::")[0])]
    assert (bool(shown), missing) == (True, [])
