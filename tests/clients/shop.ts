// A shop's calls through a client whose types openapi-typescript makes: the README's five, a dispute, lists, errors.
// PARLEY_URL and a token for each role in SHOP, CUSTOMER, SELLER, STRANGER; prints what came back as JSON.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

declare const process: { env: Record<string, string> };

type Problem = components["schemas"]["Problem"];

const as = (token: string | undefined) =>
  createClient<paths>({
    baseUrl: process.env.PARLEY_URL!,
    headers: { Prefer: "wait=15", ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }) },
  });
const shop = as(process.env.SHOP);
const customer = as(process.env.CUSTOMER);
const seller = as(process.env.SELLER);
const stranger = as(process.env.STRANGER);

let calls = 0;

// What a call that must succeed has answered.
async function done<T>(call: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
  calls += 1;
  const { data, error, response } = await call;
  if (data === undefined) throw new Error(`${response.status} ${response.url}: ${JSON.stringify(error)}`);
  return data;
}

// The problem that a call must be refused with, as `status code`.
async function refused(call: Promise<{ error?: Problem; response: Response }>): Promise<Problem> {
  calls += 1;
  const { error, response } = await call;
  if (error === undefined) throw new Error(`${response.status} ${response.url}: was to be refused`);
  return error;
}

const order_id = "ts-1";
const params = { path: { order_id } };
const snapshot: components["schemas"]["OrderSnapshot"] = {
  order_id,
  version: 1,
  status: "paid",
  placed_at: "2026-11-28T08:00:00Z",
  customer: { id: "c-7", name: "Ada Byron", email: "ada@example.com" },
  seller: { id: "s-1", name: "Tea House" },
  items: [{ sku: "TEA-1", name: "Green tea", quantity: 2, price: "19.90" }],
  total: "39.80",
  currency: "EUR",
};

const decided = await done(shop.PUT("/v1/orders/{order_id}", { params, body: snapshot }));
await done(shop.PUT("/v1/orders/{order_id}", { params: { path: { order_id: "ts-2" } }, body: { ...snapshot, order_id: "ts-2" } }));

const keyed = { ...params, header: { "Idempotency-Key": "a-1" } };
const asked = await done(customer.POST("/v1/orders/{order_id}/messages", { params: keyed, body: { text: "When will it be sent?" } }));
const again = await done(customer.POST("/v1/orders/{order_id}/messages", { params: keyed, body: { text: "When will it be sent?" } }));
const unread = await done(seller.GET("/v1/threads", { params: { query: { filter: "unread" } } }));
await done(seller.POST("/v1/orders/{order_id}/messages", { params, body: { text: "It leaves us today." } }));
const history = await done(customer.GET("/v1/orders/{order_id}/messages", { params }));

await done(customer.POST("/v1/orders/{order_id}/dispute", { params, body: { reason: "damaged", text: "It is broken." } }));
const open = await done(customer.GET("/v1/orders/{order_id}/dispute", { params }));
const closed = await done(
  customer.POST("/v1/orders/{order_id}/dispute/close", {
    params: { ...params, header: { "If-Match": open.etag } },
    body: { outcome: "refunded" },
  }),
);

const first = await done(customer.GET("/v1/orders", { params: { query: { limit: 1 } } }));
const second = await done(customer.GET("/v1/orders", { params: { query: { limit: 1, cursor: first.cursor ?? "" } } }));
const me = await done(customer.GET("/v1/me"));
await done(customer.PUT("/v1/me/preferences", { body: { mails: { messages: false, disputes: true } } }));

const errors = [
  await refused(stranger.GET("/v1/orders/{order_id}", { params })),
  await refused(as(undefined).GET("/v1/me")),
  await refused(customer.POST("/v1/orders/{order_id}/messages", { params, body: { text: " " } })),
  await refused(customer.PUT("/v1/orders/{order_id}", { params, body: snapshot })),
  await refused(customer.POST("/v1/orders/{order_id}/dispute/close", { params, body: { outcome: "refunded" } })),
];

console.log(
  JSON.stringify({
    calls,
    stands: "stands" in decided && decided.stands,
    same_message: "id" in asked && "id" in again && asked.id === again.id,
    unread: unread.items.map((row) => row.order.order_id),
    history: history.items.map((message) => [message.author.side, message.text]),
    dispute: [open.state, "state" in closed && closed.state],
    pages: [first, second].map((page) => page.items.map((row) => row.order.order_id)),
    role: me.role,
    errors: errors.map((problem) => [problem.status, problem.type, problem.errors?.map((each) => each.field) ?? null]),
  }),
);
