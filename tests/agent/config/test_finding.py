from agent.config.finding import Finding, Findings
from agent.config.places import Place


def test_a_finding_reads_as_place_kind_words_and_cure() -> None:
    finding = Finding(
        file="a.toml", line=3, column=7, severity="error", what="no", given="x", allowed="y", cure="write y"
    )
    assert str(finding) == "a.toml:3:7: error: no (given x; allowed y)\n    cure: write y"


def test_what_is_not_known_is_not_said() -> None:
    finding = Finding(file="a.toml", line=3, column=7, severity="warning", what="hm", cure="look")
    assert str(finding) == "a.toml:3:7: warning: hm\n    cure: look"


def test_findings_come_in_the_order_of_files_and_places() -> None:
    findings = Findings()
    for file, line, column in (("z", 1, 1), ("b", 1, 2), ("a", 9, 9), ("b", 1, 1)):
        findings.error(file, Place(line=line, column=column), "no", cure="-")
    findings.warning("a", Place(line=1, column=1), "hm", cure="-")
    places = [(one.file, one.line, one.column) for one in findings.in_order(("b", "a"))]
    assert places == [("b", 1, 1), ("b", 1, 2), ("a", 1, 1), ("a", 9, 9), ("z", 1, 1)]
    assert findings.errors == 4


def test_a_long_value_is_cut_and_put_on_one_line() -> None:
    findings = Findings()
    findings.error("a", Place(line=1, column=1), "no", given="[\n  " + "1, " * 60, cure="-")
    (finding,) = findings.in_order(("a",))
    assert len(finding.given) == 80
    assert finding.given.endswith("1, 1, ...")
