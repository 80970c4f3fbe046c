// The client's own Consumer, Publisher and RPCClient, which lean on reconnecting, confirms and direct reply-to.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { ConsumerStatus } from 'rabbitmq-client';
import { connect, queue, unique, until, url } from './support.js';

test('a wrong password is told as ACCESS_REFUSED', async (t) => {
  const connection = connect(t, { url: undefined, ...parts(), password: 'wrong' });
  const [error] = await once(connection, 'error');
  assert.equal(error.code, 'ACCESS_REFUSED');
});

test('an unknown virtual host is told as NOT_ALLOWED', async (t) => {
  const connection = connect(t, { url: undefined, ...parts(), vhost: 'nowhere' });
  const [error] = await once(connection, 'error');
  assert.equal(error.code, 'NOT_ALLOWED');
});

/** The address in parts, as options. */
function parts() {
  const { hostname, port, username, password } = new URL(url);
  return { hostname, port, username, password };
}

test('a publisher and a consumer with their own topology', async (t) => {
  const connection = connect(t);
  const [exchange, name] = [unique(), unique()];
  const got = [];
  const consumer = connection.createConsumer({
    queue: name,
    queueOptions: { exclusive: true },
    qos: { prefetchCount: 2 },
    exchanges: [{ exchange, type: 'topic', autoDelete: true }],
    queueBindings: [{ exchange, routingKey: 'users.*' }],
  }, (message) => { got.push(message.body); });
  consumer.on('error', () => {});
  await once(consumer, 'ready');
  const publisher = connection.createPublisher({ confirm: true, maxAttempts: 2 });
  for (let i = 0; i < 50; i += 1) await publisher.send({ exchange, routingKey: 'users.seen' }, i);
  await until(() => got.length === 50);
  assert.deepEqual(got, Array.from({ length: 50 }, (_, i) => i));
  await publisher.close();
  await consumer.close();
});

test('what a handler drops is dead-lettered, what it requeues comes again', async (t) => {
  const connection = connect(t);
  const ch = await connection.acquire();
  const dead = await queue(ch);
  const name = await queue(ch, { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': dead });
  const seen = [];
  const consumer = connection.createConsumer({ queue: name, queueOptions: { passive: true }, requeue: false }, (message) => {
    seen.push(message.redelivered);
    return message.redelivered ? ConsumerStatus.DROP : ConsumerStatus.REQUEUE;
  });
  consumer.on('error', () => {});
  await ch.basicPublish(name, 'twice');
  let letter;
  await until(async () => { letter = await ch.basicGet({ queue: dead, noAck: true }); return letter; });
  assert.deepEqual(seen, [false, true]);
  const [death] = letter.headers['x-death'];
  assert.deepEqual([death.reason, death.queue, death.count, death['routing-keys']], ['rejected', name, 1, [name]]);
  await consumer.close();
  await ch.close();
});

test('remote calls are answered', async (t) => {
  const connection = connect(t);
  const name = unique();
  const server = connection.createConsumer({ queue: name, queueOptions: { exclusive: true } }, async (request, reply) => {
    await reply(request.body * 2);
  });
  server.on('error', () => {});
  await once(server, 'ready');
  const client = connection.createRPCClient({ confirm: true });
  const answers = await Promise.all([1, 2, 3, 4, 5].map(async (n) => (await client.send(name, n)).body));
  assert.deepEqual(answers, [2, 4, 6, 8, 10]);
  await client.close();
  await server.close();
});

test('ten consumers share the work of one queue', async (t) => {
  const connection = connect(t);
  const ch = await connection.acquire();
  const name = await queue(ch);
  const seen = new Map();
  const consumers = await Promise.all(Array.from({ length: 10 }, async (_, i) => {
    const consumer = connection.createConsumer({ queue: name, queueOptions: { passive: true }, qos: { prefetchCount: 1 } }, () => {
      seen.set(i, (seen.get(i) ?? 0) + 1);
    });
    consumer.on('error', () => {});
    await once(consumer, 'ready');
    return consumer;
  }));
  for (let i = 0; i < 200; i += 1) await ch.basicPublish(name, `${i}`);
  const total = () => [...seen.values()].reduce((sum, n) => sum + n, 0);
  await until(() => total() === 200);
  assert.equal(seen.size, 10);
  await Promise.all(consumers.map((consumer) => consumer.close()));
  await ch.close();
});
