"""The bank against its formula, one filter at a time."""

import numpy as np
import pytest

from neurofit.errors import DataError
from neurofit.models.baselines import GaborBank, gabor_energy, gabor_wavelets

BANK = GaborBank(wavelengths=(6.0, 9.0), orientations=4, width=0.5, aspect=0.8, spacing=0.5, reach=7.0)


def by_hand(wavelength, y0, x0, turn, height, width, bank):
    """A filter, pixel by pixel."""
    wave, envelope = np.zeros((height, width), complex), np.zeros((height, width))
    for row in range(height):
        for column in range(width):
            y, x = row - (height - 1) / 2 - y0, column - (width - 1) / 2 - x0
            across, along = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
            spread = bank.width * wavelength
            envelope[row, column] = np.exp(-(across**2 + bank.aspect**2 * along**2) / (2 * spread**2))
            wave[row, column] = envelope[row, column] * np.exp(2j * np.pi * across / wavelength)
    wave -= envelope * wave.sum() / envelope.sum()
    return wave / np.sqrt((abs(wave) ** 2).sum())


def test_every_filter_is_the_formula():
    parameters, filters = BANK.parameters(), BANK.filters(11, 13)
    assert len(parameters) == len(filters) == 4 * (5**2 + 3**2)  # steps of 3 and of 4.5 pixels within ±7
    for index in range(0, len(filters), 7):
        np.testing.assert_allclose(filters[index], by_hand(*parameters[index], 11, 13, BANK), atol=1e-12)


def test_filters_see_neither_the_mean_nor_more_of_one_scale_than_of_another():
    filters = BANK.filters(13, 13)
    np.testing.assert_allclose(filters.sum(axis=(1, 2)), 0, atol=1e-12)
    np.testing.assert_allclose((abs(filters) ** 2).sum(axis=(1, 2)), 1)


def test_energy_is_that_of_the_pair_and_compressed():
    images = np.random.default_rng(0).normal(size=(3, 13, 13, 1))
    (block,) = gabor_energy(
        images, wavelengths=[6.0], orientations=4, width=0.5, spacing=0.5, reach=7.0, window=0.0
    )
    filters = GaborBank((6.0,), 4, 0.5, 1.0, 0.5, 7.0).filters(13, 13)
    even = (images[:, None, :, :, 0] * filters.real).sum(axis=(2, 3))
    odd = (images[:, None, :, :, 0] * filters.imag).sum(axis=(2, 3))
    np.testing.assert_allclose(block.values, (even**2 + odd**2) ** 0.25)
    assert block.weights is None


def test_energy_of_a_grating_is_largest_for_its_orientation_and_wavelength_whatever_its_phase():
    bank = GaborBank(wavelengths=(5.0, 8.0, 12.0), orientations=8, reach=0.0)
    y, x = np.mgrid[:33, :33] - 16.0
    turn = 3 * np.pi / 8
    gratings = [np.cos(2 * np.pi * (x * np.cos(turn) + y * np.sin(turn)) / 8 + phase) for phase in (0, 1, 2)]
    energies = abs(bank.responses(np.array(gratings)))
    best = bank.parameters()[energies.argmax(axis=1)]
    assert best[:, 0].tolist() == [8.0] * 3
    np.testing.assert_allclose(best[:, 3], turn)
    np.testing.assert_allclose(energies.max(axis=1), energies.max(), rtol=0.02)


def test_window_luminance_and_pixels_are_blocks_with_shares():
    images = np.random.default_rng(0).normal(size=(3, 13, 13, 1))
    energies, mean, every = gabor_energy(
        images, wavelengths=[6.0], reach=6.0, window=4.0, luminance=0.3, pixels=0.5
    )
    assert (energies.share, mean.share, every.share) == (1.0, 0.3, 0.5)
    np.testing.assert_allclose(mean.values[:, 0], images.mean(axis=(1, 2, 3)))
    np.testing.assert_allclose(every.values, images.reshape(3, -1))
    _, y, x, _ = GaborBank((6.0,), reach=6.0).parameters().T
    np.testing.assert_allclose(energies.weights**2, np.exp(-(y**2 + x**2) / (2 * 4.0**2)))


def test_the_authors_regression_has_1089_wavelets():
    (block,) = gabor_wavelets(np.zeros((2, 33, 33, 1)))
    assert block.values.shape == (2, 1089)


@pytest.mark.parametrize("wrong", [{"wavelengths": ()}, {"spacing": 0}, {"orientations": 0}, {"reach": -1}])
def test_an_invalid_bank_is_refused(wrong):
    with pytest.raises(DataError, match=next(iter(wrong))):
        GaborBank(**wrong)


def test_colour_images_and_unknown_compressions_are_refused():
    with pytest.raises(DataError, match=r"\(image, height, width, 1\)"):
        gabor_energy(np.zeros((2, 9, 9, 3)))
    with pytest.raises(DataError, match="expected none or sqrt"):
        gabor_energy(np.zeros((2, 9, 9, 1)), compression="log")
