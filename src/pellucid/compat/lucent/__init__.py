"""lucent 0.1.8 (github.com/greentfrapp/lucent): `from pellucid.compat.lucent import objectives, param, render_vis`."""

from pellucid.compat.lucent import objectives, param, transform
from pellucid.compat.lucent.render import render_vis

__all__ = ["objectives", "param", "render_vis", "transform"]
