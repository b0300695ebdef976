"""The match as one would write it in pandas: with_pandas.py FOLDER OUT."""

import sys

import pandas as pd

folder, out = sys.argv[1:]
NOW, GRACE = 1_800_000_000, 300
KEY = r"[A-Za-z0-9_.%-]+(?:#[A-Za-z0-9_.%-]+){3}"
COLUMNS = ["kind", "order", "charge", "intent", "refund", "currency", "ours", "theirs", "at_risk", "since"]
WORDS = {name: "category" for name in ["currency", "status", "echo"]}
found = []


def read(name):
    return pd.read_csv(f"{folder}/{name}.csv", dtype=WORDS)


def fresh(moment):
    return moment + GRACE > NOW


def iso(amount, currency):
    """Stripe's integers in ISO minor units."""
    currency = currency.astype(str)
    by_hundred = currency.isin(["ISK", "UGX"]) & (amount % 100 == 0)
    return amount.mask(by_hundred, amount // 100).mask(currency == "MGA", amount * 100)


def is_money(charges):
    return (charges.status == "succeeded") & charges.captured & (charges.amount_captured > 0)


def counts(status):
    return ~status.astype(str).isin(["failed", "canceled"])


def differ(a, b):
    """Two columns of words, each with categories of its own."""
    return a.astype(str) != b.astype(str)


def report(kind, rows, **columns):
    """Adds one exception for each row."""
    more = pd.DataFrame(index=rows.index)
    for name in COLUMNS[1:]:
        more[name] = columns.get(name)
    more.insert(0, "kind", kind)
    found.append(more)


def ids(charges):
    return {"charge": charges.charge, "intent": charges.intent}


orders, our_charges, our_refunds = read("orders"), read("our_charges"), read("our_refunds")
charges, refunds, shop = read("charges"), read("refunds"), read("shop")
our_charges["money"], charges["money"] = is_money(our_charges), is_money(charges)

# Whose an object is: by its mark, else by the ids we stored.
by_charge = our_charges.set_index("charge").order
by_intent = our_charges.set_index("intent").order
by_intent = by_intent[~by_intent.index.duplicated(keep="last")]


def owners(objects, *ways):
    is_key = objects["mark"].str.fullmatch(KEY).fillna(False).astype(bool)
    owner = objects["mark"].where(is_key & objects["mark"].str.startswith("demo#").fillna(False))
    rest = objects[~is_key]
    by_id = pd.Series(None, index=rest.index, dtype=object)
    for column, owners_of in ways:
        by_id = by_id.fillna(rest[column].map(owners_of))
    owner.loc[rest.index] = by_id
    return owner


charges["order"] = owners(charges, ("charge", by_charge), ("intent", by_intent))
named = charges[charges["mark"].isin(orders.order)].drop_duplicates("charge").set_index("charge")["mark"]
refunds["order"] = owners(
    refunds, ("refund", our_refunds.set_index("refund").order), ("charge", by_charge), ("charge", named),
    ("intent", by_intent))

# Charges that both sides know.
owned = charges[charges.order.notna()]
both = owned.merge(our_charges, on=["order", "charge"], suffixes=("", "_k"))
both = both.merge(orders, on="order", suffixes=("", "_o"))
wrong_currency = differ(both.currency, both.currency_k) | (both.money & differ(both.currency, both.currency_o))
wrong_amount = both.money & both.money_k & (both.amount_captured != both.amount_captured_k)
other_customer = both.money & (both.customer != both.customer_o) & both.customer.notna() & both.customer_o.notna()
stale = ~fresh(both.view_at)
rows = both[wrong_currency]
report("currency", rows, order=rows.order, **ids(rows), currency=rows.currency,
       at_risk=iso(rows.amount_captured, rows.currency), since=rows.created)
for kind, wrong in [("status", (both.money != both.money_k)), ("amount", wrong_amount)]:
    rows = both[~wrong_currency & wrong & stale]
    here, there = iso(rows.amount_captured_k, rows.currency_k), iso(rows.amount_captured, rows.currency)
    report(kind, rows, order=rows.order, **ids(rows), currency=rows.currency, ours=here, theirs=there,
           at_risk=(here - there).abs(), since=rows.created)
rows = both[other_customer]
report("customer", rows, order=rows.order, **ids(rows), currency=rows.currency, at_risk=0, since=rows.created)

# Charges that our facts do not know: the second of an order that is paid is one too many.
strange = owned[~owned.charge.isin(our_charges.charge) & owned.money & ~fresh(owned.created)]
strange = strange.sort_values(["created", "charge"])
strange = strange.merge(orders[["order", "total"]], on="order", how="left")
amount = iso(strange.amount_captured, strange.currency)
ours_taken = our_charges[our_charges.money & our_charges.order.isin(strange.order)]
ours_taken = iso(ours_taken.amount_captured, ours_taken.currency).groupby(ours_taken.order).sum()
before = strange.order.map(ours_taken).fillna(0) + amount.groupby(strange.order).cumsum() - amount
twice = strange.total.notna() & (before > 0) & (before + amount > strange.total)
for kind, of_kind in [("duplicate_charge", twice), ("missing_here", ~twice)]:
    rows, there = strange[of_kind], amount[of_kind]
    report(kind, rows, order=rows.order, **ids(rows), currency=rows.currency, theirs=there, at_risk=there,
           since=rows.created)

# Refunds.
owned = refunds[refunds.order.notna()]
both = owned.merge(our_refunds, on=["order", "refund"], suffixes=("", "_k")).merge(orders[["order", "view_at"]], on="order")
here, there = iso(both.amount_k, both.currency_k), iso(both.amount, both.currency)
wrong_currency, wrong_amount = differ(both.currency, both.currency_k), here != there
wrong_end = (counts(both.status) != counts(both.status_k)) & ~fresh(both.view_at)
for kind, wrong in [
    ("currency", wrong_currency), ("amount", ~wrong_currency & wrong_amount),
    ("status", ~wrong_currency & ~wrong_amount & wrong_end),
]:
    rows, h, t = both[wrong], here[wrong], there[wrong]
    report(kind, rows, order=rows.order, **ids(rows), refund=rows.refund, currency=rows.currency, ours=h, theirs=t,
           at_risk=(h - t).abs() if kind == "amount" else t, since=rows.created)
strange = owned[~owned.refund.isin(our_refunds.refund) & counts(owned.status) & ~fresh(owned.created)]
strange = strange.merge(our_charges[["order", "charge", "amount", "amount_captured", "captured"]],
                        on=["order", "charge"], how="left", suffixes=("", "_k"))
rest = strange.amount_k - strange.amount_captured
release = strange.amount_k.notna() & strange.request.isna() & (
    (strange.captured == False) | ((rest > 0) & (strange.amount == rest)))  # noqa: E712
rows = strange[~release]
there = iso(rows.amount, rows.currency)
report("unlinked_refund", rows, order=rows.order, **ids(rows), refund=rows.refund, currency=rows.currency,
       theirs=there, at_risk=there, since=rows.created)

# Money of ours that Stripe does not show.
whole = orders[orders.complete]
rows = our_charges[our_charges.money & ~our_charges.charge.isin(charges.charge) & our_charges.order.isin(whole.order)]
here = iso(rows.amount_captured, rows.currency)
report("missing_there", rows, order=rows.order, **ids(rows), currency=rows.currency, ours=here, at_risk=here,
       since=rows.created)
rows = our_refunds[counts(our_refunds.status) & ~our_refunds.refund.isin(refunds.refund)]
rows = rows.merge(whole[["order", "view_at"]], on="order")
here = iso(rows.amount, rows.currency)
report("missing_there", rows, order=rows.order, charge=rows.charge, refund=rows.refund, currency=rows.currency,
       ours=here, at_risk=here, since=rows.view_at)

# What our own facts say was taken beyond what is owed.
kept = orders.captured - orders.returned
over = orders[(kept > orders.total) & ~fresh(orders.view_at)]
money = our_charges[our_charges.money & our_charges.order.isin(over.order)].sort_values(["created", "charge"])
last = money.groupby("order").agg(charge=("charge", "last"), intent=("intent", "last"), n=("charge", "size"))
over = over.merge(last, left_on="order", right_index=True, how="left")
for kind, of_kind in [("duplicate_charge", over.n > 1), ("amount", ~(over.n > 1))]:
    rows = over[of_kind]
    kept = rows.captured - rows.returned
    report(kind, rows, order=rows.order, **ids(rows), currency=rows.currency, ours=rows.total, theirs=kept,
           at_risk=kept - rows.total, since=rows.view_at)

# The order systems' word.
both = orders.merge(shop, on="order", suffixes=("", "_s"))
held, stale = (both.captured - both.returned).clip(lower=0), ~fresh(both.updated_at)
wrong_currency = ~both.gone & differ(both.currency, both.currency_s)
wrong_total = ~both.gone & ~wrong_currency & (both.total != both.total_s)
wrong_status = ~both.gone & differ(both.echo.astype(object).fillna("nothing"), both.status) & ~fresh(both.view_at)
rows = both[both.gone]
report("missing_there", rows, order=rows.order, currency=rows.currency, ours=held[both.gone], at_risk=held[both.gone],
       since=rows.view_at)
rows = both[wrong_currency & stale]
report("currency", rows, order=rows.order, currency=rows.currency_s, at_risk=held[rows.index], since=rows.updated_at)
rows = both[wrong_total & stale]
report("amount", rows, order=rows.order, currency=rows.currency_s, ours=rows.total, theirs=rows.total_s,
       at_risk=(rows.total - rows.total_s).abs(), since=rows.updated_at)
rows = both[wrong_status]
report("status", rows, order=rows.order, currency=rows.currency_s, ours=held[rows.index], at_risk=held[rows.index],
       since=rows.view_at)
rows = shop[~shop.gone & ~shop.order.isin(orders.order) & ~fresh(shop.updated_at)]
report("missing_here", rows, order=rows.order, currency=rows.currency, theirs=rows.total, at_risk=0, since=rows.updated_at)

everything = pd.concat([f.astype({c: object for c in f.columns}) for f in found])
for name in ["ours", "theirs", "at_risk", "since"]:
    everything[name] = everything[name].astype("Float64").astype("Int64")
everything.to_csv(out, index=False, columns=COLUMNS)
