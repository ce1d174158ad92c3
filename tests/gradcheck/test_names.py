"""The function and the package share a name; both can be reached."""

import tinygrad_seq as tg
from tinygrad_seq.gradcheck import compare, gradcheck


def test_the_top_level_name_is_the_function_and_the_package_can_be_imported_from():
    import tinygrad_seq.gradcheck  # must not put the package in the function's place
    from tinygrad_seq.gradcheck.report import Report

    assert tg.gradcheck is gradcheck
    assert tinygrad_seq.gradcheck is gradcheck
    assert isinstance(tg.gradcheck(tg.tanh, 0.5), Report)
    assert callable(tg.gradgradcheck)
    assert compare.__name__ == "tinygrad_seq.gradcheck.compare"
