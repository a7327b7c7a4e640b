"""Secret files in the styles that people and tools write, with what they mean: made by hypothesis."""

from __future__ import annotations

import base64
import string
from dataclasses import dataclass

from hypothesis import strategies as st

from secrets_ui.files.writing import base64_scalar, text_scalar

KEYS = st.text(alphabet=string.ascii_letters + string.digits + "-_.", min_size=1, max_size=12).filter(
    lambda key: not key.startswith("..") and key != "."
)
WORDS = st.sampled_from(
    ["1234", "true", "null", "0777", "1_00", "yes", "on", "12e03", "=", "y", "N", "<<", "."]
)
TEXTS = st.one_of(WORDS, st.text(max_size=20), st.text(alphabet="ab \n\t#:'\"\\-|>{}", max_size=20)).filter(
    lambda text: text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text)
)
BYTES = st.one_of(st.binary(max_size=40), TEXTS.map(str.encode))
# Bytes whose base64 is a number, a truth value or nothing to YAML 1.1.
TRICKY = st.sampled_from(
    [base64.b64decode(text) for text in ("1234", "true", "null", "0777", "1e10", "0x12", "")]
)
VALUES = st.one_of(BYTES, TRICKY)


@dataclass(frozen=True)
class Made:
    """A file and what it means: per Secret its values by key, in the order of the file."""

    text: str
    secrets: list[dict[str, bytes]]


@st.composite
def block_entry(draw: st.DrawFn, key: str, value: bytes, end: str) -> str:
    """One key under `data`, in some style, indented by two."""
    style = draw(st.sampled_from(["plain", "single", "double", "literal", "folded", "under", "quoted-lines"]))
    comment = draw(st.sampled_from(["", "  # why: it's {odd", " #"]))
    written = draw(st.sampled_from([text_scalar(key), f"'{key}'", f'"{key}"']))
    encoded = base64.b64encode(value).decode()
    before = draw(st.sampled_from(["", "  # about the next key: x", "", "    # deeper", ""]))
    lines = [before] if before and not before.startswith("    ") else []
    half = len(encoded) // 2
    match style:
        case "single" | "double":
            lines.append(
                f"  {written}: {base64_scalar(value, chr(39) if style == 'single' else chr(34))}{comment}"
            )
        case "literal" | "folded" if encoded:
            mark = {"literal": "|", "folded": ">"}[style] + draw(st.sampled_from(["", "-", "+"]))
            lines.append(f"  {written}: {mark}{comment}")
            lines += [f"    {part}" for part in (encoded[:half], encoded[half:]) if part]
            lines += draw(st.sampled_from([[], [""], ["", ""]]))
        case "under" if encoded:
            lines += [f"  {written}:", f"    {base64_scalar(value)}{comment}"]
        case "quoted-lines" if half:
            lines += [f'  {written}: "{encoded[:half]}', f'    {encoded[half:]}"{comment}']
        case _ if not encoded:
            lines.append(f"  {written}:{comment}")
        case _:
            lines.append(f"  {written}: {base64_scalar(value)}{comment}")
    return "".join(line + end for line in lines)


@st.composite
def flow_entries(draw: st.DrawFn, values: dict[str, bytes], end: str, *, json: bool) -> str:
    """All keys in braces: on one line, or one line each."""
    quote = '"' if json else draw(st.sampled_from(["", "'", '"']))
    pairs = [f"{text_scalar(key, quote)}: {base64_scalar(value, quote)}" for key, value in values.items()]
    if not draw(st.booleans()):
        return "{" + draw(st.sampled_from([", ", ","])).join(pairs) + draw(st.sampled_from(["", " "])) + "}"
    comma = "" if json else draw(st.sampled_from(["", ",", ", # last"]))
    rows = [f"    {pair}" for pair in pairs]
    return "{" + end + f",{end}".join(rows) + (comma if rows else "") + end + "  }"


@st.composite
def yaml_secret(draw: st.DrawFn, name: str, end: str, indent: str = "") -> tuple[str, dict[str, bytes]]:
    """One Secret as YAML, and its values."""
    values = draw(st.dictionaries(KEYS, VALUES, max_size=5))
    head = f"apiVersion: v1{end}kind: Secret{end}metadata:{end}  name: {name}{end}"
    kind = draw(st.sampled_from(["block", "block", "flow", "strings"]))
    if kind == "flow":
        body = f"data: {draw(flow_entries(values, end, json=False))}{end}"
    elif kind == "strings":
        values = {key: draw(TEXTS).encode() for key in values}
        styles = ["", "'", '"']
        rows = [
            f"  {text_scalar(k)}: {text_scalar(v.decode(), draw(st.sampled_from(styles)))}"
            for k, v in values.items()
        ]
        body = f"stringData:{end}" + "".join(row + end for row in rows)
    else:
        body = f"data:{end}" + "".join(draw(block_entry(key, value, end)) for key, value in values.items())
    tail = draw(
        st.sampled_from(["", f"type: Opaque{end}", f"  # the end{end}", f"# end{end}type: Opaque # x{end}"])
    )
    return f"{draw(st.sampled_from(['', f'# top{end}']))}{head}{body}{tail}", values


@st.composite
def json_secret(draw: st.DrawFn, end: str) -> Made:
    """One Secret as JSON, indented by tabs or spaces."""
    values = draw(st.dictionaries(KEYS, VALUES, max_size=5))
    data = draw(flow_entries(values, end, json=True))
    tab = draw(st.sampled_from(["\t", "  "]))
    rows = ['"apiVersion": "v1"', '"kind": "Secret"', '"metadata": {"name": "a"}', f'"data": {data}']
    text = "{" + ",".join(f"{end}{tab}{row}" for row in rows) + end + "}"
    return Made(text + draw(st.sampled_from(["", end])), [values])


@st.composite
def files(draw: st.DrawFn) -> Made:
    """A secrets file: YAML with one or more documents, or JSON; LF or CR LF; with or without byte-order mark."""
    end = draw(st.sampled_from(["\n", "\r\n"]))
    mark = draw(st.sampled_from(["", "", "\ufeff"]))
    if draw(st.integers(0, 3)) == 0:
        made = draw(json_secret(end))
        return Made(mark + made.text, made.secrets)
    parts = [draw(yaml_secret(name, end)) for name in "abc"[: draw(st.integers(1, 3))]]
    text = draw(st.sampled_from(["", f"---{end}"])) + f"---{end}".join(text for text, _ in parts)
    if draw(st.booleans()):
        text = text.removesuffix(end)
    return Made(mark + text, [values for _, values in parts])
