// Connecting, logging in, and how connections end.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import amqp from 'amqplib';
import { connect, unique, url } from './support.js';

/** The address with some of its parts changed. */
function address(change) {
  const changed = new URL(url);
  change(changed);
  return changed.toString();
}

test('the server introduces itself as RabbitMQ with its capabilities', async (t) => {
  const connection = await connect(t);
  const { product, version, capabilities } = connection.connection.serverProperties;
  assert.equal(product, 'RabbitMQ');
  assert.match(version, /^4\./);
  for (const name of ['publisher_confirms', 'exchange_exchange_bindings', 'basic.nack', 'consumer_cancel_notify']) {
    assert.equal(capabilities[name], true, name);
  }
});

test('a wrong password is refused with 403', async () => {
  const wrong = address((to) => { to.password = 'wrong'; });
  await assert.rejects(amqp.connect(wrong), /403 \(ACCESS-REFUSED\).*Login was refused using authentication mechanism PLAIN/);
});

test('an unknown virtual host is refused', async () => {
  const elsewhere = address((to) => { to.pathname = '/nowhere'; });
  await assert.rejects(amqp.connect(elsewhere), /Expected ConnectionOpenOk; got <ConnectionClose/);
});

test('frame size, heartbeat and channel limit of the client are taken', async (t) => {
  const small = address((to) => { to.search = '?frameMax=8192&heartbeat=7&channelMax=5'; });
  const connection = await connect(t, small);
  assert.equal(connection.connection.frameMax, 8192);
  assert.equal(connection.connection.heartbeat, 7);
  const ch = await connection.createChannel();
  const { queue } = await ch.assertQueue('', { exclusive: true });
  const body = Buffer.alloc(50_000, 7);
  ch.sendToQueue(queue, body);
  let message = false;
  while (!message) message = await ch.get(queue, { noAck: true });
  assert.ok(message.content.equals(body));
});

test('many channels open and close on one connection', async (t) => {
  const connection = await connect(t);
  const channels = await Promise.all(Array.from({ length: 200 }, () => connection.createChannel()));
  await Promise.all(channels.map((ch) => ch.close()));
  const again = await connection.createChannel();
  await again.close();
});

test('a channel error leaves the connection and its other channels alone', async (t) => {
  const connection = await connect(t);
  const [bad, good] = [await connection.createChannel(), await connection.createChannel()];
  bad.on('error', () => {});
  await assert.rejects(bad.checkQueue(unique()), /404 \(NOT-FOUND\)/);
  const { queue } = await good.assertQueue('', { exclusive: true });
  assert.equal((await good.checkQueue(queue)).messageCount, 0);
});

test('close is answered, and emitted once', async () => {
  const connection = await amqp.connect(url);
  const closed = once(connection, 'close');
  await connection.close();
  await closed;
});

test('a new secret is taken', async (t) => {
  const connection = await connect(t);
  await connection.updateSecret(Buffer.from('guest'), 'renewed');
});
