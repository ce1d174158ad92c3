"""The devices that are held against the CPU: a GPU, and the stand-in where there is none."""

import pytest


@pytest.fixture(params=["strict", pytest.param("cuda", marks=pytest.mark.gpu)])
def there(request):
    """The name of the device that must agree with the CPU."""
    return request.param
