"""All curve files, by name."""

from __future__ import annotations

from tests.diagnosis.records.curve_files import forms, loggers, other_tools, playing, values
from tests.diagnosis.records.curve_files.written import written_cases

CASES = {
    name: make
    for module in (loggers, playing, values, forms, other_tools)
    for name, make in written_cases(vars(module)).items()
}
