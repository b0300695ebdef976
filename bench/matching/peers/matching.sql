-- The reconciler's rules in SQL, over the same files. {folder}, {out}, {now} and {grace} are filled in by with_duckdb.py.

create macro fresh(moment) as moment + {grace} > {now};
create macro iso(amount, currency) as case
    when currency in ('ISK', 'UGX') and amount % 100 = 0 then amount // 100
    when currency = 'MGA' then amount * 100
    else amount end;
create macro is_money(status, captured, taken) as status = 'succeeded' and captured and taken > 0;
create macro is_key(mark) as coalesce(regexp_full_match(mark, '[A-Za-z0-9_.%-]+(#[A-Za-z0-9_.%-]+){{3}}'), false);
create macro counts(status) as status not in ('failed', 'canceled');

create table orders as from read_csv('{folder}/orders.csv', header = true, auto_detect = false, columns = {{
    'order': 'varchar', 'complete': 'boolean', 'currency': 'varchar', 'total': 'bigint', 'status': 'varchar',
    'view_at': 'bigint', 'captured': 'bigint', 'returned': 'bigint', 'customer': 'varchar'}});
create table our_charges as
select *, is_money(status, captured, amount_captured) as money
from read_csv('{folder}/our_charges.csv', header = true, auto_detect = false, columns = {{
    'order': 'varchar', 'charge': 'varchar', 'intent': 'varchar', 'status': 'varchar', 'amount': 'bigint',
    'amount_captured': 'bigint', 'currency': 'varchar', 'captured': 'boolean', 'created': 'bigint'}});
create table our_refunds as from read_csv('{folder}/our_refunds.csv', header = true, auto_detect = false, columns = {{
    'order': 'varchar', 'refund': 'varchar', 'charge': 'varchar', 'amount': 'bigint', 'currency': 'varchar',
    'status': 'varchar', 'request': 'varchar'}});
create table stripe_charges as
select *, is_money(status, captured, amount_captured) as money
from read_csv('{folder}/charges.csv', header = true, auto_detect = false, columns = {{
    'mark': 'varchar', 'customer': 'varchar', 'charge': 'varchar', 'intent': 'varchar', 'status': 'varchar',
    'amount': 'bigint', 'amount_captured': 'bigint', 'currency': 'varchar', 'captured': 'boolean',
    'created': 'bigint'}});
create table stripe_refunds as from read_csv('{folder}/refunds.csv', header = true, auto_detect = false, columns = {{
    'mark': 'varchar', 'intent': 'varchar', 'created': 'bigint', 'refund': 'varchar', 'charge': 'varchar',
    'amount': 'bigint', 'currency': 'varchar', 'status': 'varchar', 'request': 'varchar'}});
create table shop as from read_csv('{folder}/shop.csv', header = true, auto_detect = false, columns = {{
    'order': 'varchar', 'updated_at': 'bigint', 'gone': 'boolean', 'currency': 'varchar', 'total': 'bigint',
    'echo': 'varchar'}});

-- Whose a charge is: by its mark, else by the ids we stored. Only what has no mark of ours is looked for by id.
create table owned as
select c.*, c.mark as owner from stripe_charges c where is_key(c.mark) and c.mark like 'demo#%'
union all
select c.*, coalesce(by_charge.order, by_intent.order) as owner
from stripe_charges c
left join our_charges by_charge on by_charge.charge = c.charge
left join our_charges by_intent on by_intent.intent = c.intent
where not is_key(c.mark) and coalesce(by_charge.order, by_intent.order) is not null;

create table both_charges as
select o.order, o.currency as order_currency, o.customer as order_customer, o.view_at, k.currency as known_currency,
    k.money as known_money, iso(k.amount_captured, k.currency) as here, c.*, iso(c.amount_captured, c.currency) as there
from owned c
join our_charges k on k.order = c.owner and k.charge = c.charge
join orders o on o.order = c.owner
where c.currency <> k.currency or (c.money and c.currency <> o.currency) or c.money <> k.money
    or c.amount_captured <> k.amount_captured or c.customer <> o.customer;

create table strange_charges as
select c.*, iso(c.amount_captured, c.currency) as there, o.total, o.order is not null as known,
    coalesce((select sum(iso(k.amount_captured, k.currency)) from our_charges k where k.order = c.owner and k.money), 0)
    + coalesce(sum(iso(c.amount_captured, c.currency)) over (
        partition by c.owner order by c.created, c.charge rows between unbounded preceding and 1 preceding), 0) as before
from owned c
left join orders o on o.order = c.owner
where c.money and not fresh(c.created)
    and not exists (from our_charges k where k.order = c.owner and k.charge = c.charge);

create table owned_refunds as
select r.*, case when is_key(r.mark) then (case when r.mark like 'demo#%' then r.mark end)
    else coalesce(by_refund.order, by_charge.order, by_mark.mark, by_intent.order) end as owner
from stripe_refunds r
left join our_refunds by_refund on by_refund.refund = r.refund
left join our_charges by_charge on by_charge.charge = r.charge
left join (select c.charge, c.mark from stripe_charges c semi join orders o on o.order = c.mark) by_mark
    on by_mark.charge = r.charge
left join our_charges by_intent on by_intent.intent = r.intent;

create table exceptions (kind varchar, "order" varchar, charge varchar, intent varchar, refund varchar,
    currency varchar, ours bigint, theirs bigint, at_risk bigint, since bigint);

insert into exceptions
select 'currency', "order", charge, intent, null, currency, null, null, there, created
from both_charges where currency <> known_currency or (money and currency <> order_currency)
union all
select 'status', "order", charge, intent, null, currency, here, there, abs(here - there), created
from both_charges
where currency = known_currency and not (money and currency <> order_currency)
    and money <> known_money and not fresh(view_at)
union all
select 'amount', "order", charge, intent, null, currency, here, there, abs(here - there), created
from both_charges
where currency = known_currency and currency = order_currency
    and money and known_money and here <> there and not fresh(view_at)
union all
select 'customer', "order", charge, intent, null, currency, null, null, 0, created
from both_charges where money and customer <> order_customer
union all
select case when known and before > 0 and before + there > total then 'duplicate_charge' else 'missing_here' end,
    owner, charge, intent, null, currency, null, there, there, created
from strange_charges
union all
select case when r.currency <> k.currency then 'currency'
        when iso(r.amount, r.currency) <> iso(k.amount, k.currency) then 'amount' else 'status' end as kind,
    r.owner, r.charge, r.intent, r.refund, r.currency, iso(k.amount, k.currency), iso(r.amount, r.currency),
    case when r.currency = k.currency and iso(r.amount, r.currency) <> iso(k.amount, k.currency)
        then abs(iso(k.amount, k.currency) - iso(r.amount, r.currency)) else iso(r.amount, r.currency) end,
    r.created
from owned_refunds r
join our_refunds k on k.order = r.owner and k.refund = r.refund
join orders o on o.order = r.owner
where r.currency <> k.currency or iso(r.amount, r.currency) <> iso(k.amount, k.currency)
    or (counts(r.status) <> counts(k.status) and not fresh(o.view_at))
union all
select 'unlinked_refund', r.owner, r.charge, r.intent, r.refund, r.currency, null, iso(r.amount, r.currency),
    iso(r.amount, r.currency), r.created
from owned_refunds r
left join our_charges k on k.order = r.owner and k.charge = r.charge
where r.owner is not null and counts(r.status) and not fresh(r.created)
    and not exists (from our_refunds h where h.order = r.owner and h.refund = r.refund)
    and not (k.charge is not null and r.request is null
        and (not k.captured or (k.amount > k.amount_captured and r.amount = k.amount - k.amount_captured)))
union all
select 'missing_there', o.order, k.charge, k.intent, null, k.currency, iso(k.amount_captured, k.currency), null,
    iso(k.amount_captured, k.currency), k.created
from our_charges k
join orders o on o.order = k.order
where o.complete and k.money and not exists (from stripe_charges c where c.charge = k.charge)
union all
select 'missing_there', o.order, k.charge, null, k.refund, k.currency, iso(k.amount, k.currency), null,
    iso(k.amount, k.currency), o.view_at
from our_refunds k
join orders o on o.order = k.order
where o.complete and counts(k.status) and not exists (from stripe_refunds r where r.refund = k.refund)
union all
select case when count(k.charge) > 1 then 'duplicate_charge' else 'amount' end, o.order,
    last(k.charge order by k.created, k.charge), last(k.intent order by k.created, k.charge), null, o.currency, o.total,
    o.captured - o.returned, o.captured - o.returned - o.total, o.view_at
from orders o
left join our_charges k on k.order = o.order and k.money
where o.captured - o.returned > o.total and not fresh(o.view_at)
group by all;

insert into exceptions
with both_orders as (
    select o.*, s.order is not null as listed, s.updated_at, s.gone, s.currency as shop_currency, s.total as shop_total,
        coalesce(s.echo, 'nothing') as echo, o.captured - o.returned as held
    from orders o join shop s on s.order = o.order
    where s.gone or s.currency <> o.currency or s.total <> o.total or coalesce(s.echo, 'nothing') <> o.status)
select 'missing_there', "order", null, null, null, currency, held, null, greatest(held, 0), view_at
from both_orders where gone
union all
select 'currency', "order", null, null, null, shop_currency, null, null, greatest(held, 0), updated_at
from both_orders where not gone and shop_currency <> currency and not fresh(updated_at)
union all
select 'amount', "order", null, null, null, shop_currency, total, shop_total, abs(total - shop_total), updated_at
from both_orders where not gone and shop_currency = currency and shop_total <> total and not fresh(updated_at)
union all
select 'status', "order", null, null, null, shop_currency, held, null, greatest(held, 0), view_at
from both_orders where not gone and echo <> status and status is not null and not fresh(view_at)
union all
select 'missing_here', s.order, null, null, null, s.currency, null, s.total, 0, s.updated_at
from shop s
where not s.gone and not fresh(s.updated_at) and not exists (from orders o where o.order = s.order);

copy exceptions to '{out}' (header, delimiter ',');
