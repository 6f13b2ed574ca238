"""Energy and carbon dioxide of a run, from inputs that somebody states."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Energy:
    """What turns hours into kWh and kg of CO2; nothing is assumed where nothing is stated.

    CO2 = intensity x PUE x power x hours. Power is what the processors and the rest of the machine
    draw on average; with the sum of their greatest draw, as in the paper, it is an upper bound.

    Source: *Do All Vision Transformers Need Registers?*, Eq. 1, with 0.37 kg/kWh, PUE 1.19 and
    0.805 kW. Its 92.30 kg are of 260.42 h (50,000 service units); its text also says 30,000, which
    are 156.25 h and 55.38 kg.

    >>> paper = Energy(power=0.805, pue=1.19, intensity=0.37)
    >>> round(paper.kilograms(260.42), 2), round(paper.kilograms(156.25), 2)
    (92.3, 55.38)

    Raises:
        ValueError: a number that cannot be, or one that needs another.
    """

    power: float | None = None
    """kW that the machine draws; without it no energy is reported."""
    pue: float | None = None
    """Energy of the building over that of the machine; 1 is the machine alone."""
    intensity: float | None = None
    """kg of CO2 a kWh; takes --power and --pue."""

    def __post_init__(self) -> None:
        if self.power is not None and not self.power > 0:
            raise ValueError(f"power is {self.power} kW; it must be above 0")
        if self.pue is not None and not self.pue >= 1:
            raise ValueError(f"PUE is {self.pue}; it is 1 or more")
        if self.intensity is not None and not self.intensity >= 0:
            raise ValueError(f"intensity is {self.intensity} kg/kWh; it is 0 or more")
        if self.pue is not None and self.power is None:
            raise ValueError("a PUE says nothing without power; give the kW that the machine draws")
        if self.intensity is not None and (self.power is None or self.pue is None):
            raise ValueError(
                "carbon dioxide takes power, PUE (1: the machine alone) and intensity; give all"
            )

    def kilowatt_hours(self, hours: float) -> float | None:
        """Of the machine, or of the building where a PUE is stated; None without power."""
        return None if self.power is None else self.power * hours * (self.pue or 1.0)

    def kilograms(self, hours: float) -> float | None:
        """Of CO2; None where not all inputs are stated."""
        used = self.kilowatt_hours(hours)
        return None if used is None or self.intensity is None else self.intensity * used

    def spent(self, hours: float) -> dict[str, float]:
        """What can be said of so many hours, with the inputs, for a Record; empty without power."""
        found = {
            "power_kw": self.power,
            "pue": self.pue,
            "kg_co2_per_kwh": self.intensity,
            "kwh": self.kilowatt_hours(hours),
            "kg_co2": self.kilograms(hours),
        }
        return {key: value for key, value in found.items() if value is not None}

    def said(self, hours: float) -> str:
        """One line.

        >>> Energy(power=0.5).said(2.0)
        '2.0 h; 1.0 kWh at 0.5 kW'
        """
        used, mass = self.kilowatt_hours(hours), self.kilograms(hours)
        told = f"{_short(hours)} h" if hours >= 0.95 else f"{_short(60 * hours)} min"
        if used is not None:
            told += f"; {_short(used)} kWh at {self.power:g} kW"
            told += "" if self.pue is None else f" x PUE {self.pue:g}"
        if mass is not None:
            told += f"; {_short(mass)} kg CO2 at {self.intensity:g} kg/kWh"
        return told


def _short(number: float) -> str:
    """Two digits or more, no exponent."""
    return f"{number:.1f}" if number >= 0.95 else f"{number:.2g}"
