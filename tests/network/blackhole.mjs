// A server that takes everything and answers nothing, over UDP and TCP on one port.

import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer } from "node:net";
import { freePort } from "./turn.mjs";

export async function blackhole(host = "127.0.0.1") {
  const sockets = new Set();
  const tcp = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {}).on("close", () => sockets.delete(socket)).resume();
  });
  const port = await freePort(host);
  tcp.listen(port, host);
  await once(tcp, "listening");
  const udp = createSocket("udp4");
  udp.bind(port, host);
  await once(udp, "listening");
  return {
    port,
    stop() {
      udp.close();
      tcp.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
