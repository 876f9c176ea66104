import json

import pytest
from player import Player
from support import ROOT

SCENARIOS = sorted((ROOT / "bindings/scenario").glob("*.json"))


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
async def test_scenario(server, path):
    await Player(server).play(json.loads(path.read_text()))
