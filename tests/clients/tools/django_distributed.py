"""Django over tables of which some are distributed: its own sessions, and models with and without foreign keys. TOOL_SPREAD says
whether the database has several nodes."""

import os

from django.core.management import call_command

from django_database import configure

configure(TIME_ZONE="UTC")

from datetime import datetime, timezone  # noqa: E402

from django.contrib.auth.models import User  # noqa: E402
from django.contrib.sessions.backends.db import SessionStore  # noqa: E402
from django.contrib.sessions.models import Session  # noqa: E402
from django.db import IntegrityError, connection, models, transaction  # noqa: E402
from django.db.models import Avg, Count, Exists, F, Max, OuterRef, Q, Subquery, Sum, Window  # noqa: E402
from django.db.models.functions import RowNumber, TruncMonth  # noqa: E402

SPREAD = os.environ["TOOL_SPREAD"] == "1"


class Customer(models.Model):
    name = models.CharField(max_length=40)
    country = models.CharField(max_length=2, db_index=True)
    owner = models.ForeignKey(User, models.CASCADE, db_constraint=False)

    class Meta:
        app_label = "auth"


class Order(models.Model):
    customer = models.ForeignKey(Customer, models.CASCADE, db_constraint=False, related_name="orders")
    total = models.DecimalField(max_digits=10, decimal_places=2)
    at = models.DateTimeField()
    data = models.JSONField(null=True)

    class Meta:
        app_label = "auth"


def distribute(table, clause):
    """Makes a table that Django has made a distributed one, with what is in it."""
    if not SPREAD:
        return
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} DISTRIBUTE BY {clause}")


call_command("migrate", verbosity=0)
distribute("django_session", "HASH(session_key)")
with connection.schema_editor() as editor:
    editor.create_model(Customer)
    editor.create_model(Order)
distribute(Customer._meta.db_table, "HASH(id)")
distribute(Order._meta.db_table, "HASH(id)")

# What a migration does afterwards.
with connection.schema_editor() as editor:
    field = models.IntegerField(default=3, db_index=True)
    field.set_attributes_from_name("stars")
    editor.add_field(Customer, field)
    Customer.add_to_class("stars", models.IntegerField(default=3, db_index=True))
    longer = models.CharField(max_length=60)
    longer.set_attributes_from_name("name")
    editor.alter_field(Customer, Customer._meta.get_field("name"), longer)
print(sorted(connection.introspection.table_names()))
with connection.cursor() as cursor:
    for table in (Customer._meta.db_table, Order._meta.db_table):
        print([tuple(column)[:1] + tuple(column)[4:7] for column in connection.introspection.get_table_description(cursor, table)])
        print(sorted(connection.introspection.get_constraints(cursor, table).items())[0])

User.objects.bulk_create(User(username=f"user{n}") for n in range(5))
users = list(User.objects.order_by("username"))
Customer.objects.bulk_create(
    Customer(name=f"Kunde ü{n}", country="DE" if n % 3 else "CN", owner=users[n % 5], stars=n % 6) for n in range(60)
)
customers = list(Customer.objects.order_by("name"))
Order.objects.bulk_create(
    [
        Order(customer=customers[n * 7 % 60], total=f"{n}.{n % 100:02}", at=datetime(2026, 1 + n % 12, 3, tzinfo=timezone.utc), data={"n": n})
        for n in range(400)
    ],
    batch_size=150,
)
print(Order.objects.count(), Order.objects.aggregate(Sum("total"), Avg("total"), Max("at")))
print(list(Customer.objects.values("country").annotate(n=Count("id"), s=Sum("stars")).order_by("country")))
print(list(Customer.objects.annotate(n=Count("orders"), t=Sum("orders__total")).filter(n__gt=6).order_by("-t", "name").values_list("name", "n", "t")[:5]))
print(list(Order.objects.select_related("customer__owner").order_by("-total").values_list("customer__owner__username", "total")[:4]))
print([(c.name, sorted(str(o.total) for o in c.orders.all())[:2]) for c in Customer.objects.prefetch_related("orders").order_by("name")[:3]])
print(list(Order.objects.annotate(m=TruncMonth("at")).values("m").annotate(n=Count("id")).order_by("m"))[:3])
print(Customer.objects.filter(~Exists(Order.objects.filter(customer=OuterRef("pk"), total__gt=390))).count())
newest = Order.objects.filter(customer=OuterRef("pk")).order_by("-total").values("total")[:1]
print(list(Customer.objects.annotate(top=Subquery(newest)).order_by("-top").values_list("name", "top")[:3]))
ranked = Order.objects.annotate(r=Window(RowNumber(), partition_by=[F("customer")], order_by=F("total").desc()))
print(sum(1 for order in ranked if order.r == 1))
print(Order.objects.filter(data__n=17).values_list("total").get(), Order.objects.filter(Q(total__lt=3) | Q(data__n__gte=398)).count())
print(list(Customer.objects.filter(country="CN").union(Customer.objects.filter(stars=5)).order_by("name").values_list("name")[:4]))
print(Customer.objects.filter(stars=2).update(stars=F("stars") + 10), Customer.objects.filter(stars=12).count())
with transaction.atomic():
    one = Customer.objects.select_for_update().get(name="Kunde ü7")
    one.country = "FR"
    one.save()
    try:
        with transaction.atomic():
            Customer.objects.create(id=one.id, name="again", country="XX", owner=users[0])
    except IntegrityError as error:
        print(error.args[0])
    Order.objects.filter(customer=one).delete()
try:
    with transaction.atomic():
        Order.objects.all().delete()
        raise LookupError
except LookupError:
    print(Order.objects.count(), Customer.objects.get(country="FR").name)
print(Customer.objects.get_or_create(name="new", defaults={"country": "IT", "owner": users[1]})[1])
print(Customer.objects.update_or_create(name="new", defaults={"country": "ES"})[1], Customer.objects.get(name="new").country)
Customer.objects.bulk_create(
    [Customer(id=one.id, name="upserted", country="PT", owner=users[2]), Customer(id=1_000_000, name="inserted", country="PT", owner=users[2])],
    update_conflicts=True, update_fields=["name", "country"],
)  # fmt: skip
print(list(Customer.objects.filter(country="PT").order_by("name").values_list("name", "owner__username")))
for n in range(20):
    store = SessionStore()
    store["number"] = n
    store.save()
store["number"] = "changed"
store.save()
print(SessionStore(store.session_key)["number"], Session.objects.count())
store.flush()
call_command("clearsessions")
print(Session.objects.count(), [len(customers) for customers in (list(Customer.objects.iterator(chunk_size=20)),)])
Customer.objects.filter(country="CN").delete()
print(Customer.objects.count(), Order.objects.count(), User.objects.filter(customer__country="DE").distinct().count())
if SPREAD:
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN ROUTE SELECT COUNT(*) FROM " + Order._meta.db_table)
        assert "0, 1" in str(cursor.fetchall()), "it is on both nodes"
