"""For Django: "reloaderd.contrib.django" in INSTALLED_APPS, and `reloaderd watch --on '*.mo=notify' …`.

A translation that was compiled anew is then read by the running program, which is not restarted for it.
Programs that call `reloaderd.run` have this without either.
"""

from __future__ import annotations

import threading


def reset_translations(path: str) -> None:
    """Forget the translations that were read: the next use reads them anew.

    What is to be forgotten is Django's business: it has a function for it since 1.7, which has been called
    otherwise since 2.2.
    """
    try:
        from pathlib import Path

        from django.utils.translation.reloader import translation_file_changed
    except ImportError:
        _reset_translations()
    else:
        translation_file_changed(sender=None, file_path=Path(path))


def _reset_translations() -> None:
    """As django.utils.autoreload did for I18N_MODIFIED."""
    import gettext

    from django.utils.translation import trans_real

    gettext._translations = {}  # type: ignore[attr-defined]
    trans_real._translations = {}
    trans_real._default = None
    trans_real._active = threading.local()
