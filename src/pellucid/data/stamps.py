"""Real things with exact masks: the stamps of Tux Paint on calm photographs of the MATE desktop.

Both are Debian packages (`tuxpaint-stamps-default`, GPL-2; `mate-backgrounds`, GPL-2 and CC-BY-SA-4.0); nothing of them
is part of this project. Unpacked anywhere, without being installed, they make the set:

    apt-get download tuxpaint-stamps-default mate-backgrounds
    for f in *.deb; do dpkg-deb -x "$f" CACHE; done
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from PIL import Image

from pellucid.contracts import Classes
from pellucid.data.scenes import Scene, scenes
from pellucid.errors import MissingExtra

STAMPS = Path("usr/share/tuxpaint/stamps")
BACKGROUNDS = Path("usr/share/backgrounds/mate")

CALM = ("Blinds", "Dune", "GreenMeadow", "RainDrops", "Storm", "Wood")
"""Photographs without a thing of their own in them."""

THINGS: dict[str, tuple[str, ...]] = {
    "animals/amphibians/frog": ("tree frog", "tailed frog", "bullfrog"),
    "animals/birds/drake": ("drake",),
    "animals/birds/gander": ("goose",),
    "animals/birds/hen": ("hen",),
    "animals/birds/heron_greatblue": ("little blue heron", "American egret", "bittern"),
    "animals/birds/magpie": ("magpie",),
    "animals/birds/ostrich": ("ostrich",),
    "animals/birds/peacock": ("peacock",),
    "animals/birds/pelican": ("pelican",),
    "animals/birds/penguin": ("king penguin",),
    "animals/birds/pink_flamingo": ("flamingo",),
    "animals/birds/rainbow-lorikeet": ("lorikeet",),
    "animals/birds/rooster": ("cock",),
    "animals/birds/tucan": ("toucan",),
    "animals/birds/vulture": ("vulture",),
    "animals/fish/clownfish": ("anemone fish",),
    "animals/fish/lionfish": ("lionfish",),
    "animals/fish/lobster": ("American lobster", "spiny lobster"),
    "animals/insects/bee": ("bee",),
    "animals/insects/fly": ("fly",),
    "animals/insects/grasshopper": ("grasshopper",),
    "animals/insects/mantis": ("mantis",),
    "animals/lizards/iguana": ("common iguana",),
    "animals/mammals/apes/chimp": ("chimpanzee",),
    "animals/mammals/apes/gorilla": ("gorilla",),
    "animals/mammals/aquatic/orca": ("killer whale",),
    "animals/mammals/aquatic/otter": ("otter",),
    "animals/mammals/aquatic/sea_lion": ("sea lion",),
    "animals/mammals/badger": ("badger",),
    "animals/mammals/bears/bear": ("brown bear",),
    "animals/mammals/bears/european-bear": ("brown bear",),
    "animals/mammals/bears/toys/edward_bear": ("teddy",),
    "animals/mammals/bovines/bison": ("bison",),
    "animals/mammals/bovines/bull": ("ox",),
    "animals/mammals/bovines/ram": ("ram", "bighorn"),
    "animals/mammals/camel/dromedary": ("Arabian camel",),
    "animals/mammals/cats/lion": ("lion",),
    "animals/mammals/cats/lion-2": ("lion",),
    "animals/mammals/cats/tiger": ("tiger",),
    "animals/mammals/cats/tiger_sumatran": ("tiger",),
    "animals/mammals/dogs/dingo": ("dingo",),
    "animals/mammals/dogs/fox": ("red fox",),
    "animals/mammals/elephant": ("African elephant", "Indian elephant", "tusker"),
    "animals/mammals/equines/horse": ("sorrel",),
    "animals/mammals/equines/zebra": ("zebra",),
    "animals/mammals/hedgehog": ("porcupine",),
    "animals/mammals/hippopotamus": ("hippopotamus",),
    "animals/mammals/pig": ("hog",),
    "animals/mammals/rodents/beaver": ("beaver",),
    "animals/mammals/rodents/marmot": ("marmot",),
    "animals/mammals/rodents/rabbit": ("wood rabbit", "hare", "Angora"),
    "animals/mammals/rodents/squirrel": ("fox squirrel",),
    "animals/mammals/wildboar": ("wild boar",),
    "animals/marsupials/kangaroo": ("wallaby",),
    "animals/marsupials/koala": ("koala",),
    "animals/marsupials/wombat": ("wombat",),
    "food/fruit/apple_granny_smith": ("Granny Smith",),
    "food/fruit/banana": ("banana",),
    "food/fruit/lemon": ("lemon",),
    "food/fruit/orange": ("orange",),
    "food/fruit/pineapple": ("pineapple",),
    "food/fruit/pomegranate": ("pomegranate",),
    "food/fruit/strawberry": ("strawberry",),
    "food/pizza": ("pizza",),
    "food/vegetables/broccoli": ("broccoli",),
    "food/vegetables/corn": ("corn", "ear"),
    "food/vegetables/mushroom": ("mushroom",),
    "food/vegetables/pepper": ("bell pepper",),
    "food/vegetables/yellowpepper": ("bell pepper",),
    "household/dishes/mug": ("coffee mug", "cup"),
    "household/dishes/pitcher_small": ("pitcher",),
    "household/dishes/teapot": ("teapot",),
    "household/kettle": ("teapot", "caldron"),
    "household/toilet": ("toilet seat",),
    "household/tools/hammer": ("hammer",),
    "vehicles/auto/sportscar2": ("sports car",),
    "vehicles/cycle/pink_tricycle": ("tricycle",),
    "vehicles/emergency/firetruck": ("fire engine",),
    "vehicles/flight/balloon360": ("balloon",),
    "vehicles/flight/planes/747": ("airliner",),
    "vehicles/garbagetruck": ("garbage truck",),
    "vehicles/race/indycar": ("racer",),
    "vehicles/wheel_tractor": ("tractor",),
}
"""Stamps that show an ImageNet class, by the names of the classes that are right; chosen by their titles alone, before
any network had seen them."""

SIZE = (320, 256)
_SHARE = (0.5, 0.8)


def stamps(
    cache: str | Path, classes: Classes, *, photographs: Sequence[Image.Image] | None = None, seed: int = 0
) -> list[Scene]:
    """One scene per stamp: a thing of half to four fifths of the picture's shorter side, anywhere on a calm background.

    Args:
        cache: folder into which the two packages were unpacked.
        classes: those of the network.
        photographs: other backgrounds.
        seed: of places, sizes and backgrounds.

    Raises:
        MissingExtra: the packages are not there.
    """
    root = Path(cache).expanduser()
    if photographs is None:
        files = sorted(path for path in (root / BACKGROUNDS).rglob("*.jpg") if path.stem in CALM)
        photographs = [Image.open(path).convert("RGB") for path in files]
    if not photographs or not (root / STAMPS).is_dir():
        raise MissingExtra(
            f"{str(root)!r} does not hold the stamps and backgrounds: unpack Debian's tuxpaint-stamps-default and "
            "mate-backgrounds there (apt-get download, dpkg-deb -x)."
        )
    things = [
        (name, partial(_open, root / STAMPS / f"{name}.png"), tuple(classes.find(text) for text in names))
        for name, names in sorted(THINGS.items())
    ]
    return scenes(things, photographs, size=SIZE, share=_SHARE, seed=seed)


def _open(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGBA")
