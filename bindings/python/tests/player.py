"""Plays a scenario: bindings/scenario/README.md says what its steps mean."""

import base64
import json
import re

from support import Inbox, kind, sdk, within


def snake(name):
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()


def look(value, path):
    """The value at a path of camelCase names, as the scenario writes it."""
    for name in path.split("."):
        if name.isdigit():
            value = value[int(name)]
            continue
        as_bytes, name = name.endswith("Base64"), snake(name.removesuffix("Base64"))
        value = getattr(value, name, None) if hasattr(value, name) else getattr(value, "_" + name)
        value = value() if callable(value) else value
        if as_bytes:
            return base64.b64encode(value).decode()
        if name.endswith("_json") and value is not None:
            return json.loads(value)
    return value.name.lower() if hasattr(value, "name") and hasattr(value, "value") else value


def arguments(given):
    made = {}
    for name, value in given.items():
        if name.endswith("Base64"):
            made[snake(name.removesuffix("Base64"))] = base64.b64decode(value)
        else:
            made[snake(name)] = json.dumps(value) if name.endswith("Json") else value
    return made


class Player:
    def __init__(self, server):
        self.server = server
        self.objects, self.inboxes = {}, {}

    async def actor(self, name, said):
        if said.get("credential") == "key":
            credential = sdk.Credential.API_KEY("pk_live_dev")
        else:
            token = await self.server.token(name, **said.get("claims", {}))
            credential = sdk.Credential.TOKEN(token)
        options = self.server.options()
        if said["kind"] == "client":
            made = sdk.SignallingClient(credential, options)
        else:
            made = sdk.MeteredPeer(credential, sdk.PeerOptions(signalling=options))
        self.keep((name,), made)

    def keep(self, key, made):
        self.objects[key], self.inboxes[key] = made, Inbox(made)

    async def play(self, scenario):
        for name, said in scenario["actors"].items():
            await self.actor(name, said)
        for number, step in enumerate(scenario["steps"]):
            try:
                await self.step(step)
            except Exception as error:
                raise AssertionError(f"step {number}: {json.dumps(step)}") from error
        for name in scenario["actors"]:
            for _ in range(2):
                await within(self.objects[(name,)].shutdown())

    async def step(self, step):
        key = (step["actor"],)
        if "channel" in step:
            key += ("channel", step["channel"])
        elif "remote" in step:
            key += ("remote", step["remote"])
        if "do" in step:
            await self.do(key, step)
        elif "expect" in step:
            await self.expect(key, step)
        else:
            await self.state(key, step["state"])

    async def do(self, key, step):
        given = arguments(step.get("with", {}))
        if step["do"] == "openDataChannel":
            given = {"label": given.pop("label"), "options": sdk.DataChannelOptions(**given)}
        if step["do"] == "send" and "peer_id" in given:
            given["priority"] = sdk.SendPriority.APP
        call = getattr(self.objects[key], snake(step["do"]))(**given)
        if "fails" not in step:
            answer = await within(call)
            if "as" in step:
                self.keep((step["actor"], "channel", step["as"]), answer)
            return
        try:
            await within(call)
        except sdk.SdkError as error:
            for name, wanted in step["fails"].items():
                if name == "class":
                    assert kind(error) == wanted
                else:
                    found = error.details.code if name == "code" else look(error, name)
                    assert found == wanted, (name, found)
            assert error.details.message and error.details.cause and error.details.fix
        else:
            raise AssertionError("it did not fail")

    async def expect(self, key, step):
        def fits(event):
            try:
                return all(look(event, path) == value for path, value in step.get("where", {}).items())
            except IndexError:
                return False

        event = await self.inboxes[key].next(snake(step["expect"]).upper(), fits)
        if step["expect"] == "PeerJoined":
            self.keep((step["actor"], "remote", event.remote.id()), event.remote)
        if "as" in step:
            self.keep((step["actor"], "channel", step["as"]), event.channel)

    async def state(self, key, wanted):
        async def until():
            state = self.objects[key].state()
            while state.name.lower() != wanted:
                state = await self.objects[key].state_after(state)

        await within(until())
