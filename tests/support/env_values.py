"""Values that may stand in ``.env``, by what is special about each (ADR 0110)."""

from typing import Final

from config.env_file import LONGEST_VALUE_BYTES

ARRIVES: Final = {
    "hash inside": "a#b",
    "hash first": "#a",
    "hash and space first": "# a",
    "one quote inside": "it's",
    "quotes inside": 'say "hi"',
    "quote last": "a'",
    "space inside": "a b",
    "spaces inside": "a  b",
    "equals sign": "a=b",
    "equals sign first": "=a",
    "padding of base64": "QUJD==",
    "backslash": "a\\b",
    "backslash last": "a\\",
    "backslash and n": "a\\nb",
    "backslash and quote": 'a\\"b',
    "percent": "100%",
    "percent escape": "%24%23",
    "backticks": "`id`",
    "semicolon": "a;id",
    "ampersand": "a&b",
    "pipe": "a|b",
    "asterisk": "*",
    "tilde": "~",
    "exclamation mark": "wow!1",
    "braces": "{a}",
    "brackets": "[a]",
    "parentheses": "(a)",
    "comma and colon": "a,b:c",
    "redirections": "a>b<c",
    "at and question mark": "a@b/c?d",
    "word of YAML": "null",
    "number": "0x1F",
    "long": "L" * 4_096,
    "longest": "L" * LONGEST_VALUE_BYTES,
}
