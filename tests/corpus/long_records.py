"""Records of 64 KiB and more, each made to be slow for some way of reading."""

from __future__ import annotations

HEADER = "CEF:1|Datto|AccessPoint|7.1.0|wifi|probe|0|"
EDGE = "CEF:1|Datto|Secure Edge|1.2.1|"
SIZE = 65_536


def filled(unit: str, head: str = HEADER) -> bytes:
    """A record of 64 KiB: a header and one text over and over."""
    return (head + unit * (SIZE // len(unit)))[:SIZE].encode()


LONG = {
    "blanks": filled(" "),
    "equals": filled("="),
    "one_token": filled("a"),
    "one_token_with_equals_last": filled("a")[:-1] + b"=",
    "backslashes": filled("\\"),
    "escaped_pipes_in_header": filled("\\|", "CEF:1|Datto|"),
    "colons": filled(":"),
    "colon_keys": filled("cs2:"),
    "colon_keys_apart": filled(" cs2:"),
    "colon_keys_with_nothing_typed": filled(" dmac:x"),
    "pipes": filled("|"),
    "pipes_without_header": filled("|", ""),
    "cef_over_and_over": filled("CEF:", ""),
    "cef_heads_over_and_over": filled("CEF:1|", ""),
    "glued_keys": filled("external_id=", EDGE + "traffigatord|drop|7|p="),
    "glued_pairs": filled(" policy_id=1external_id=x", EDGE + "traffigatord|drop|7|"),
    "glued_pairs_of_all_keys": filled(
        " peer_id=1external_id=2query_time=3client_ip=4src_addr=5", EDGE + "coredns|drop|7|"
    ),
    "glued_in_one_value": filled("xexternal_id=1", EDGE + "traffigatord|drop|7|policy_id="),
    "free_text_with_misfits": filled(" client_ip=x", EDGE + "coredns|allow|1|domain=a"),
    "backslashes_before_pipes": filled("\\\\|", "CEF:1|Datto|"),
    "groups": filled("groups.1=a ", EDGE + "coredns|drop|7|"),
    "blanks_before_header": filled(" ", ""),
    "angle_brackets": filled("<1>", ""),
    "structured_data": filled('[a b="', "<134>1 - h a - - "),
    "quotes": filled('"'),
    "digits": filled("9", HEADER + "rt="),
    "dots": filled("1.", HEADER + "dvc="),
    "hex_colons": filled("a:", HEADER + "smac="),
    "tabs": filled("\t"),
    "newlines": filled("\n"),
    "nuls": filled("\0"),
    "open_brackets": filled("a[", HEADER),
}
LONG["ten_thousand_keys"] = (HEADER + " ".join(f"k{n}={n}" for n in range(10_000))).encode()
LONG["beyond_the_cap"] = (HEADER + "rt=1795514300412 msg=" + "a" * 200_000).encode()
