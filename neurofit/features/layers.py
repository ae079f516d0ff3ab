"""Which layers of a network are meant: by name, glob or index, or by the names that torchvision gives a ResNet."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping, Sequence

from neurofit.errors import DataError, NameUnknown, nearest

_BLOCK = re.compile(r"conv(\d+)_block(\d+)_out$")
_OTHERS = {"conv1": "conv1_conv", "maxpool": "pool1_pool", "avgpool": "avg_pool"}


def chosen(wanted: str | int | Sequence[str | int], names: Sequence[str], network: str) -> list[str]:
    """The names of the layers that are meant, without repetitions, in the order of the request.

    Parameters
    ----------
    wanted : str, int, or sequence of them
        A name, a glob such as "conv4_*_out", an index into `names` (-1 is the last), or an alias of a ResNet:
        "layer3" is the output of its third stage, "layer3.0" of the first block there; also "conv1",
        "maxpool" and "avgpool".
    names : sequence of str
        The names of all layers, in the order of the network.
    network : str
        Its name, for messages.

    Raises
    ------
    NameUnknown
        If there is no such layer; the message offers the nearest name.
    DataError
        If nothing is asked for.
    """
    listed = [wanted] if isinstance(wanted, str | int) else list(wanted)
    if not listed:
        raise DataError(f"{network}: no layer was asked for. Name one, for example '{names[-1]}'.")
    aliases = _aliases(names)
    return list(dict.fromkeys(name for one in listed for name in _found(one, names, aliases, network)))


def one_layer(wanted: str | int, names: Sequence[str], network: str) -> str:
    """The name of the one layer that is meant, as for `chosen`.

    Raises
    ------
    NameUnknown
        If there is no such layer.
    DataError
        If several are meant.
    """
    found = chosen(wanted, names, network)
    if len(found) != 1:
        shown = ", ".join(found[:6]) + (", …" if len(found) > 6 else "")
        raise DataError(f"{network}: '{wanted}' means {len(found)} layers ({shown}); expected one.")
    return found[0]


def _found(one: str | int, names: Sequence[str], aliases: Mapping[str, str], network: str) -> list[str]:
    if isinstance(one, int):
        if not -len(names) <= one < len(names):
            raise NameUnknown(
                f"{network} has no layer {one}: it has {len(names)} layers, 0 … {len(names) - 1}."
            )
        return [names[one]]
    if one in names:
        return [one]
    if one in aliases:
        return [aliases[one]]
    matching = [name for name in names if fnmatch.fnmatchcase(name, one)] if set(one) & set("*?[") else []
    if not matching:
        known = [*names, *aliases]
        shown = ", ".join(names[:6]) + (f", … ({len(names)} layers)" if len(names) > 6 else "")
        also = f" Aliases: {', '.join(a for a in aliases if '.' not in a)}." if aliases else ""
        raise NameUnknown(f"{network} has no layer '{one}'.{nearest(one, known)} Layers: {shown}.{also}")
    return matching


def _aliases(names: Sequence[str]) -> dict[str, str]:
    """torchvision's names of a ResNet's layers → Keras' names; empty for other networks.

    Keras numbers stages from 2 and blocks from 1: `layer3.0` is `conv4_block1_out`.
    """
    blocks: dict[int, dict[int, str]] = {}
    for name in names:
        if found := _BLOCK.match(name):
            blocks.setdefault(int(found[1]) - 1, {})[int(found[2]) - 1] = name
    if not blocks:
        return {}
    aliases = {alias: name for alias, name in _OTHERS.items() if name in names}
    for stage, inside in sorted(blocks.items()):
        aliases[f"layer{stage}"] = inside[max(inside)]
        aliases.update({f"layer{stage}.{number}": name for number, name in sorted(inside.items())})
    return aliases
