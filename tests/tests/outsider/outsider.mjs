// A stranger: a whole libp2p node of another make, without the mesh secret. It listens, dials the addresses that it is given,
// again and again, asks whatever it can think of, and prints what it learned, as one line of JSON, when its input ends.
//
//   node outsider.mjs NODE_MODULES LISTEN_PORT ADDRESS...

import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";

// Node 20 lacks it.
Promise.withResolvers ??= function () {
  let resolve, reject;
  const promise = new Promise((good, bad) => { resolve = good; reject = bad; });
  return { promise, resolve, reject };
};

const [modules, port, ...addresses] = process.argv.slice(2);

async function load(name) {
  const { exports } = JSON.parse(await readFile(`${modules}/${name}/package.json`));
  return import(`${modules}/${name}/${exports["."].import}`);
}

const [{ createLibp2p }, { tcp }, { noise }, { yamux }, { identify }, { gossipsub }, { kadDHT }, { ping }, { multiaddr }] =
  await Promise.all(["libp2p", "@libp2p/tcp", "@libp2p/noise", "@libp2p/yamux", "@libp2p/identify", "@libp2p/gossipsub",
    "@libp2p/kad-dht", "@libp2p/ping", "@multiformats/multiaddr"].map(load));

const node = await createLibp2p({
  addresses: { listen: [`/ip4/0.0.0.0/tcp/${port}`] },
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  services: { identify: identify(), ping: ping(), pubsub: gossipsub({ allowPublishToZeroTopicPeers: true }), dht: kadDHT() },
});

const learned = { dials: 0, opened: 0, inbound: 0, identified: [], gossip: 0, streams: [], peersOfTheDht: 0, subscribers: 0 };
// Protocols that a member of a mesh speaks with members, and one label tried for the rest.
const label = "680d205d25e2eed55ba9bf5ea28c3148";
const protocols = ["/ghmesh/have-you-got/1", `/ghmesh/${label}/kad/1`, "/meshsub/1.1.0", "/meshsub/1.2.0", "/ipfs/id/1.0.0",
  "/ipfs/id/push/1.0.0", "/ipfs/ping/1.0.0", "/ipfs/kad/1.0.0"];

node.addEventListener("peer:identify", ({ detail }) => learned.identified.push(detail));
node.addEventListener("connection:open", ({ detail }) => { if (detail.direction === "inbound") learned.inbound += 1; });
node.services.pubsub.addEventListener("message", () => { learned.gossip += 1; });
node.services.pubsub.subscribe(`ghmesh/1/${label}`);

async function ask(connection) {
  await Promise.allSettled(protocols.map(async (protocol) => {
    const stream = await connection.newStream(protocol, { signal: AbortSignal.timeout(1000) });
    learned.streams.push(protocol);
    stream.abort(new Error("seen"));
  }));
}

async function visit(address) {
  learned.dials += 1;
  try {
    const connection = await node.dial(multiaddr(address), { signal: AbortSignal.timeout(5000) });
    learned.opened += 1;
    await ask(connection);
    connection.abort(new Error("enough"));
  } catch {
    // Turned away.
  }
}

let over = false;
const visiting = Promise.all(addresses.map(async (address) => {
  while (!over) {
    await visit(address);
    await new Promise((resume) => setTimeout(resume, 50));
  }
}));

console.log(JSON.stringify({ peer: node.peerId.toString() }));
for await (const _ of createInterface({ input: process.stdin })) {
  // Until the end.
}
over = true;
await visiting;
learned.peersOfTheDht = node.services.dht.routingTable.size;
learned.subscribers = node.services.pubsub.getSubscribers(`ghmesh/1/${label}`).length;
// What it has noted by itself, such as when it dialled, nobody told it.
const notes = (peer) => [...peer.metadata.keys()].filter((key) => !key.startsWith("last-dial"));
learned.told = (await node.peerStore.all()).flatMap((peer) => [...peer.protocols, ...notes(peer)]);
console.log(JSON.stringify(learned, (_, value) => (typeof value === "bigint" ? value.toString() : value)));
process.exit(0);
