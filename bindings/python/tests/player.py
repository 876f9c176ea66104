"""Plays a scenario: bindings/scenario/README.md says what its steps mean."""

import asyncio
import base64
import json
import re

from media import PICTURES, film, plays, sing
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
        self.tasks, self.pictures = [], set()

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
        try:
            await self.play_all(scenario)
        finally:
            for task in self.tasks:
                task.cancel()
            for ended in await asyncio.gather(*self.tasks, return_exceptions=True):
                assert isinstance(ended, asyncio.CancelledError), ended

    async def play_all(self, scenario):
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
        for part in ("channel", "remote", "local", "track"):
            if part in step:
                key += (part, step[part])
        if "do" in step:
            await self.do(key, step)
        elif "expect" in step:
            await self.expect(key, step)
        elif "receives" in step:
            await self.receives(key, step["receives"])
        elif "level" in step:
            await within(plays(self.objects[key], *step["level"]))
        elif "ends" in step:
            await within(self.ends(key))
        else:
            await self.state(key, step["state"])

    def add_stream(self, peer, actor, stream_id, video, audio, hertz):
        """Adds a picture and a sound that go on until the scenario ends."""
        camera, microphone = sdk.LocalVideoTrack(sdk.VideoCodec.VP8), sdk.LocalAudioTrack()
        # DTX takes a steady tone for silence.
        encoding = microphone.encoding()
        encoding.dtx = False
        microphone.set_encoding(encoding)
        self.objects[(actor, "local", video)] = camera
        self.objects[(actor, "local", audio)] = microphone
        tracks = [sdk.LocalTrack.VIDEO(camera), sdk.LocalTrack.AUDIO(microphone)]
        peer.add_stream(sdk.MediaStream(id=stream_id, tracks=tracks))
        self.tasks += [asyncio.ensure_future(film(camera)), asyncio.ensure_future(sing(microphone, hertz))]

    async def receives(self, key, count):
        """So many more pictures, each of them one that was sent; the first of all is a key frame."""
        for number in range(count):
            unit = (await self.inboxes[key].next("FRAME")).unit
            assert unit.data in PICTURES, f"picture {number} is torn"
            assert key in self.pictures or unit.key_frame, "the first picture is no key frame"
            self.pictures.add(key)

    async def ends(self, key):
        if key not in self.inboxes:
            while not self.objects[key].is_ended():
                await asyncio.sleep(0.01)
            return
        while await self.inboxes[key].source.next_events(64):
            pass

    async def do(self, key, step):
        given = arguments(step.get("with", {}))
        if step["do"] == "addStream":
            self.add_stream(self.objects[key], step["actor"], **given)
            return
        if step["do"] == "removeTrack":
            given = {"track_id": self.objects[(step["actor"], "local", given["track"])].id()}
        if step["do"] == "openDataChannel":
            given = {"label": given.pop("label"), "options": sdk.DataChannelOptions(**given)}
        if step["do"] == "send" and "peer_id" in given:
            given["priority"] = sdk.SendPriority.APP
        call = getattr(self.objects[key], snake(step["do"]))(**given)
        if "fails" not in step:
            answer = await within(call) if asyncio.iscoroutine(call) else call
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
                event = event.track if step["expect"] == "TrackAdded" else event
                return all(look(event, path) == value for path, value in step.get("where", {}).items())
            except IndexError:
                return False

        event = await self.inboxes[key].next(snake(step["expect"]).upper(), fits)
        if step["expect"] == "PeerJoined":
            self.keep((step["actor"], "remote", event.remote.id()), event.remote)
        if step["expect"] == "TrackAdded":
            track, key = event.track.media.track, (step["actor"], "track", step["as"])
            self.objects[key] = track
            if event.track.kind == "video":
                self.inboxes[key] = Inbox(track.frames())
        elif "as" in step:
            self.keep((step["actor"], "channel", step["as"]), event.channel)

    async def state(self, key, wanted):
        async def until():
            state = self.objects[key].state()
            while state.name.lower() != wanted:
                state = await self.objects[key].state_after(state)

        await within(until())
