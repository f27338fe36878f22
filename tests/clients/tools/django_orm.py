"""Django: the migrations of its own applications, ORM, transactions, inspection."""

from django.core.management import call_command

from django_database import configure

configure()

from django.contrib.auth.models import Group, Permission, User  # noqa: E402
from django.db import IntegrityError, connection, models, transaction  # noqa: E402
from django.db.models import Count, F, Q  # noqa: E402

call_command("migrate", verbosity=1, no_color=True)
call_command("showmigrations", no_color=True)
print(sorted(connection.introspection.table_names()))

User.objects.bulk_create(User(username=f"user{n}", email=f"u{n}@example.com", first_name="名") for n in range(200))
group = Group.objects.create(name="readers")
group.permissions.set(Permission.objects.filter(codename__startswith="view_"))
group.user_set.set(User.objects.filter(Q(username__startswith="user1") | Q(username="user7")))
print(User.objects.filter(groups=group).count(), group.permissions.count())
print(list(User.objects.values_list("first_name").annotate(n=Count("id"))))
print(User.objects.filter(username__in=["user1", "user2"]).update(first_name=F("username")))
print(list(User.objects.order_by("-id").values("username", "first_name")[:3]))
with transaction.atomic():
    locked = User.objects.select_for_update().get(username="user3")
    try:
        with transaction.atomic():
            User.objects.create(username="user4")
    except IntegrityError as error:
        print(error.args)
    locked.last_name = "locked"
    locked.save()
try:
    with transaction.atomic():
        User.objects.all().delete()
        raise LookupError
except LookupError:
    print(User.objects.count(), User.objects.get(last_name="locked").username)
print(User.objects.get_or_create(username="new")[1], User.objects.update_or_create(username="new", defaults={"email": "x"})[1])
print([user.username for user in User.objects.iterator(chunk_size=50)][-2:])


class Item(models.Model):
    name = models.CharField(max_length=40, unique=True)
    price = models.DecimalField(max_digits=9, decimal_places=2)
    data = models.JSONField(null=True)
    owner = models.ForeignKey(User, models.CASCADE)

    class Meta:
        app_label = "auth"


with connection.schema_editor() as editor:
    editor.create_model(Item)
    field = models.IntegerField(null=True, db_index=True)
    field.set_attributes_from_name("stock")
    editor.add_field(Item, field)
Item.objects.create(name="pen", price="1.50", data={"a": [1, 2]}, owner=User.objects.first())
print(Item.objects.filter(data__a=[1, 2]).values_list("name", "price", "owner__username").get())
call_command("inspectdb", "auth_item", "auth_user")
call_command("sqlmigrate", "auth", "0001", no_color=True)
call_command("flush", interactive=False, verbosity=0)
print(User.objects.count())
