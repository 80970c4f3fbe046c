// Queues and exchanges: declaring, arguments, bindings, deleting.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { channel, closedBy, consumed, queue, unique, until } from './support.js';

test('declare tells counts, passive declare too', async (t) => {
  const ch = await channel(t, { confirm: true });
  const name = await queue(ch);
  ch.sendToQueue(name, Buffer.from('1'));
  ch.sendToQueue(name, Buffer.from('2'));
  await ch.waitForConfirms();
  assert.deepEqual(await ch.checkQueue(name), { queue: name, messageCount: 2, consumerCount: 0 });
  assert.deepEqual(await ch.purgeQueue(name), { messageCount: 2 });
  ch.sendToQueue(name, Buffer.from('3'));
  await ch.waitForConfirms();
  assert.deepEqual(await ch.deleteQueue(name), { messageCount: 1 });
});

test('another value of an argument is refused with 406', async (t) => {
  const ch = await channel(t);
  const { queue: name } = await ch.assertQueue(unique(), { exclusive: true, messageTtl: 60_000 });
  const error = await closedBy(ch, () => ch.assertQueue(name, { exclusive: true, messageTtl: 50_000 }));
  assert.equal(error.code, 406);
  assert.match(error.message, /inequivalent arg 'x-message-ttl' for queue '.*' in vhost '\/': received '50000' but current is '60000'/);
});

test('an exclusive queue is locked for others with 405', async (t) => {
  const [mine, theirs] = [await channel(t), await channel(t)];
  const name = await queue(mine);
  const error = await closedBy(theirs, () => theirs.checkQueue(name));
  assert.equal(error.code, 405);
});

test('messages outlive their time to live in the dead-letter queue', async (t) => {
  const ch = await channel(t);
  const dead = await queue(ch);
  const name = await queue(ch, { messageTtl: 20, deadLetterExchange: '', deadLetterRoutingKey: dead });
  ch.sendToQueue(name, Buffer.from('late'));
  const [message] = await consumed(ch, dead, 1);
  const [death] = message.properties.headers['x-death'];
  assert.equal(death.reason, 'expired');
  assert.equal(death.queue, name);
  assert.equal(message.properties.headers['x-first-death-reason'], 'expired');
});

test('a rejected message is dead-lettered with its routing key', async (t) => {
  const ch = await channel(t);
  const exchange = unique();
  await ch.assertExchange(exchange, 'fanout', { autoDelete: true });
  const dead = await queue(ch);
  await ch.bindQueue(dead, exchange, '');
  const name = await queue(ch, { deadLetterExchange: exchange });
  ch.sendToQueue(name, Buffer.from('no'));
  await ch.consume(name, (message) => ch.reject(message, false));
  const [message] = await consumed(ch, dead, 1);
  assert.equal(message.fields.routingKey, name);
  assert.equal(message.properties.headers['x-death'][0].reason, 'rejected');
});

test('priorities are served highest first', async (t) => {
  const ch = await channel(t, { confirm: true });
  const name = await queue(ch, { maxPriority: 5 });
  for (const priority of [1, 5, 3, 0, 9]) ch.sendToQueue(name, Buffer.from(`${priority}`), { priority });
  await ch.waitForConfirms();
  const messages = await consumed(ch, name, 5);
  assert.deepEqual(messages.map((message) => message.content.toString()), ['5', '9', '3', '1', '0']);
});

test('a queue of limited length drops its head', async (t) => {
  const ch = await channel(t, { confirm: true });
  const name = await queue(ch, { maxLength: 2 });
  for (const body of ['1', '2', '3']) ch.sendToQueue(name, Buffer.from(body));
  await ch.waitForConfirms();
  assert.deepEqual((await consumed(ch, name, 2)).map((message) => message.content.toString()), ['2', '3']);
});

test('a full queue that rejects publishes nacks them', async (t) => {
  const ch = await channel(t, { confirm: true });
  const name = await queue(ch, { maxLength: 1, arguments: { 'x-overflow': 'reject-publish' } });
  ch.sendToQueue(name, Buffer.from('fits'));
  await ch.waitForConfirms();
  const outcome = new Promise((resolve) => ch.sendToQueue(name, Buffer.from('too much'), {}, resolve));
  assert.ok((await outcome) instanceof Error);
});

test('an unused queue expires', async (t) => {
  const ch = await channel(t);
  const { queue: name } = await ch.assertQueue(unique(), { expires: 30, durable: false });
  let returned = false;
  ch.on('return', () => { returned = true; });
  // Publishing is no use in this sense; looking with a passive declare would be.
  await until(() => {
    ch.sendToQueue(name, Buffer.from('anybody there?'), { mandatory: true });
    return returned;
  });
  const error = await closedBy(ch, () => ch.checkQueue(name));
  assert.equal(error.code, 404);
});

test('topic, headers and exchange-to-exchange bindings route', async (t) => {
  const ch = await channel(t);
  const [topic, matching] = [unique(), unique()];
  await ch.assertExchange(topic, 'topic', { autoDelete: true });
  await ch.assertExchange(matching, 'headers', { autoDelete: true });
  const name = await queue(ch);
  await ch.bindExchange(matching, topic, 'orders.*.#');
  await ch.bindQueue(name, matching, '', { 'x-match': 'any', kind: 'a', size: 2 });
  ch.publish(topic, 'orders', Buffer.from('no key'), { headers: { kind: 'a' } });
  ch.publish(topic, 'orders.new', Buffer.from('no header'), { headers: { kind: 'b' } });
  ch.publish(topic, 'orders.new.now', Buffer.from('both'), { headers: { kind: 'c', size: 2 } });
  const [message] = await consumed(ch, name, 1);
  assert.equal(message.content.toString(), 'both');
  await ch.unbindExchange(matching, topic, 'orders.*.#');
});

test('an alternate exchange takes what is not routed', async (t) => {
  const ch = await channel(t);
  const [main, other] = [unique(), unique()];
  await ch.assertExchange(other, 'fanout', { durable: false });
  await ch.assertExchange(main, 'direct', { durable: false, alternateExchange: other });
  const name = await queue(ch);
  await ch.bindQueue(name, other, '');
  ch.publish(main, 'nobody', Buffer.from('x'));
  assert.equal((await consumed(ch, name, 1))[0].fields.exchange, main);
  await ch.deleteExchange(main);
  await ch.deleteExchange(other);
});

test('an exchange of another type is refused with 406', async (t) => {
  const ch = await channel(t);
  const error = await closedBy(ch, () => ch.assertExchange('amq.direct', 'fanout'));
  assert.equal(error.code, 406);
  assert.match(error.message, /inequivalent arg 'type' for exchange 'amq.direct' in vhost '\/': received 'fanout' but current is 'direct'/);
});
