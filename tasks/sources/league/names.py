"""Invented player names: syllables of many languages, suffixes such as Jr. and III, and letters such as ć."""

from __future__ import annotations

import numpy as np

_GIVEN_TEXT = """
Aldric Ansel Arlo Bastian Beckham Benoît Bertrand Bohdan Branislav Brecken Caius Calder Cashel Cedric
Clovis Corwin Cosmin Cyprian Dagan Dalibor Damir Darnley Deshaun Dorian Drazen Edvard Elion Emeric Enzo
Ephraim Esteban Evander Fabrice Faris Fenton Ferran Florian Gaspard Gideon Goran Gunnar Hadley Haldor
Hamza Hendrix Idris Ignacio Isandro Ivo Jarek Jelani Jericho Joaquín Jorah Kaelan Kasimir Kelvin Kofi
Kwabena Lachlan Lamar Leander Leopold Lisandro Lorcan Ludvig Maceo Makai Malachi Marek Matías Maxim Mihail
Milo Mirko Montrel Nasir Neven Niels Obinna Octavio Odell Oleg Orlan Osei Otis Pascal Percival Piers
Quillan Rafferty Ramiro Renzo Rhys Rodrick Roscoe Ruben Sabin Samir Sandor Sekou Silas Soren Stellan Tadej
Tavian Teodor Thaddeus Tiberiu Tobias Torsten Tymon Ulrik Umar Valentin Vaughn Viggo Wendell Wilder Xavi
Yannick Yusuf Zdravko Zoran
"""
_HEAD_TEXT = """
Al Am Ar Bal Bar Bel Bern Bor Bran Cal Car Cor Dal Dar Del Dor Dun El Fal Far Fen Gal Gar Hal Har Hol Jan
Kal Kar Kel Kor Lan Lor Mal Mar Mer Mor Nor Ol Or Pal Per Quin Rad Ras Ren Ros Sal San Sel Sol Stan Tal
Tar Tor Ul Val Var Vel Ver Vol Wal Wes Yar Zal
"""
_TAIL_TEXT = """
bourne brook by chenko combe court dale den dero dorf ević ewood field fjord ford gate grave ham hart idze
ieux imov inho ione itz ković land lund mann mere mont more nić oglu onde oseph ov ović penny quist ridge
ška son stead stedt strom ström sworth thorpe tino ton under ura uzzi vale vik well wick worth zano ález
ész
"""
_GIVEN = _GIVEN_TEXT.split()
_HEAD = _HEAD_TEXT.split()
_TAIL = _TAIL_TEXT.split()
_SUFFIX = ("", " Jr.", " III", " II")
_SUFFIX_SHARE = (0.93, 0.045, 0.02, 0.005)


def invent_names(rng: np.random.Generator, count: int, taken: set[str]) -> list[str]:
    """`count` full names not in `taken` (which grows by them), of some 400,000 possible."""
    names: list[str] = []
    while len(names) < count:
        given = _GIVEN[int(rng.integers(len(_GIVEN)))]
        family = _HEAD[int(rng.integers(len(_HEAD)))] + _TAIL[int(rng.integers(len(_TAIL)))]
        suffix = _SUFFIX[int(rng.choice(len(_SUFFIX), p=_SUFFIX_SHARE))]
        if f"{given} {family}" not in taken:
            taken.add(f"{given} {family}")
            names.append(f"{given} {family}{suffix}")
    return names
