import pytest
from hypothesis import given

from proxy.arch.corrections import NO_CORRECTIONS, Correction, Corrections, join_corrections
from proxy.oci.manifests import Index, parse_manifest
from proxy.oci.platforms import Platform
from tests.arch.worlds import image, index, linux
from tests.strategies import platforms

LIES = Corrections((Correction(linux("amd64"), linux("arm/v6")), Correction(linux("arm"), linux("arm/v5"))))
ALL = Corrections((Correction(None, linux("arm/v6")),))


@pytest.mark.parametrize(
    ("claimed", "meant"),
    [("amd64", "arm/v6"), ("arm/v7", "arm/v5"), ("arm/v6", "arm/v6"), ("arm64", "arm64")],
)
def test_the_first_correction_that_fits_holds(claimed: str, meant: str) -> None:
    """`arm` and `arm/v7` are two spellings of one platform."""
    assert LIES.correct(linux(claimed)) == linux(meant)


def test_one_for_everything_is_also_for_what_claims_nothing() -> None:
    assert ALL.correct(None) == linux("arm/v6")
    assert LIES.correct(None) is None


@pytest.mark.parametrize(("claimed", "meant"), [("arm64/v8", "arm64"), ("arm64", "arm64"), ("arm", "arm/v7")])
def test_another_spelling_of_the_truth_is_no_lie(claimed: str, meant: str) -> None:
    true = Platform.parse(f"linux/{claimed}")
    assert Corrections((Correction(None, linux(meant)),)).correct(true) is true


@given(platforms)
def test_without_corrections_everything_is_believed(platform: Platform) -> None:
    assert NO_CORRECTIONS.correct(platform) is platform
    assert not NO_CORRECTIONS


def test_an_entry_is_written_anew_only_where_it_lies() -> None:
    honest, lying = image("arm/v7"), image("arm/v6")
    document = parse_manifest(index(("arm64", honest), ("amd64", lying), attested=[lying]).body, "")
    assert isinstance(document, Index)
    first, second, attestation = (LIES.correct_entry(entry) for entry in document.manifests)
    assert first is document.manifests[0]
    assert attestation is document.manifests[2]
    assert second.platform == linux("arm/v6")
    assert second.source is not None
    assert second.source["platform"] == {"architecture": "arm", "os": "linux", "variant": "v6"}
    assert second.source["digest"] == str(lying.digest)


def test_several_corrections_are_asked_in_order() -> None:
    assert join_corrections([LIES, ALL]).correct(linux("arm")) == linux("arm/v5")
    assert join_corrections([ALL, LIES]).correct(linux("arm")) == linux("arm/v6")
