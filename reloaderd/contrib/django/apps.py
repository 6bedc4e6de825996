"""The application that Django finds by the name "reloaderd.contrib.django"."""

from __future__ import annotations

from django.apps import AppConfig

import reloaderd
from reloaderd.contrib.django import reset_translations


class Reloaderd(AppConfig):  # type: ignore[misc]
    """Listens for compiled translations, as soon as everything is loaded."""

    name = "reloaderd.contrib.django"
    label = "reloaderd"

    def ready(self) -> None:
        """Django calls it once."""
        reloaderd.on_change("*.mo", reset_translations)
