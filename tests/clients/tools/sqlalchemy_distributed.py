"""SQLAlchemy over distributed tables: authors and their books by the author's key, countries on all nodes; what reads and
writes them knows nothing of nodes. TOOL_SPREAD says whether the database has several."""

import os
import threading

import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.ext.compiler import compiles

SPREAD = os.environ["TOOL_SPREAD"] == "1"


@compiles(sa.schema.CreateTable, "mysql")
def with_clause(create, compiler, **keywords):
    """The clause of a table stands behind its definition."""
    text = compiler.visit_create_table(create, **keywords)
    clause = create.element.info.get("distribute")
    return f"{text.rstrip()} DISTRIBUTE BY {clause}\n" if clause and SPREAD else text


class Base(orm.DeclarativeBase):
    pass


class Country(Base):
    __tablename__ = "country"
    __table_args__ = ({"info": {"distribute": "BROADCAST"}},)
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    code: orm.Mapped[str] = orm.mapped_column(sa.String(2), unique=True)
    name: orm.Mapped[str] = orm.mapped_column(sa.String(40))


class Author(Base):
    __tablename__ = "author"
    __table_args__ = ({"info": {"distribute": "HASH(id)"}},)
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    name: orm.Mapped[str] = orm.mapped_column(sa.String(60), index=True)
    country_id: orm.Mapped[int]
    country: orm.Mapped[Country] = orm.relationship(primaryjoin="foreign(Author.country_id) == Country.id")
    books: orm.Mapped[list["Book"]] = orm.relationship(
        back_populates="author", cascade="all, delete-orphan", primaryjoin="Author.id == foreign(Book.author_id)", order_by="Book.number"
    )


class Book(Base):
    __tablename__ = "book"
    __table_args__ = (sa.UniqueConstraint("author_id", "title"), {"info": {"distribute": "HASH(author_id)"}})
    author_id: orm.Mapped[int] = orm.mapped_column(primary_key=True, autoincrement=False)
    number: orm.Mapped[int] = orm.mapped_column(primary_key=True, autoincrement=False)
    title: orm.Mapped[str] = orm.mapped_column(sa.String(120))
    price: orm.Mapped[float] = orm.mapped_column(sa.Numeric(9, 2), server_default="1.00")
    extra: orm.Mapped[dict | None] = orm.mapped_column(sa.JSON)
    raw: orm.Mapped[bytes | None] = orm.mapped_column(sa.LargeBinary)
    author: orm.Mapped[Author] = orm.relationship(back_populates="books", primaryjoin="Author.id == foreign(Book.author_id)")


def engine():
    url = sa.URL.create(
        "mysql+pymysql", os.environ["TOOL_USER"], os.environ["TOOL_PASSWORD"], os.environ["TOOL_HOST"],
        int(os.environ["TOOL_PORT"]), os.environ["TOOL_DATABASE"], {"charset": "utf8mb4"},
    )  # fmt: skip
    return sa.create_engine(url, pool_size=4, pool_pre_ping=True, connect_args={"ssl_disabled": True})


def reflect(target):
    inspector = sa.inspect(target)
    for table in sorted(inspector.get_table_names()):
        print(table, [(column["name"], str(column["type"]), column["nullable"]) for column in inspector.get_columns(table)])
        print(inspector.get_pk_constraint(table), inspector.get_foreign_keys(table), inspector.get_unique_constraints(table))
        print(inspector.get_indexes(table))
    metadata = sa.MetaData()
    metadata.reflect(target)
    print(sorted(metadata.tables))


def write(target):
    with orm.Session(target) as session:
        session.add_all(Country(code=code, name=name) for code, name in (("DE", "Deutschland"), ("CN", "中国"), ("FR", "France")))
        session.commit()
        countries = session.scalars(sa.select(Country).order_by(Country.code)).all()
        session.add_all(
            Author(
                name=f"author {n:02}", country=countries[n % 3],
                books=[Book(number=m, title=f"墨水 {n}.{m}", price=n + m / 4, extra={"n": [n, m]}, raw=bytes([0, n, 39, 255])) for m in range(3)],
            )
            for n in range(60)
        )  # fmt: skip
        session.commit()
        with session.begin_nested() as savepoint:
            print(session.execute(sa.update(Book).values(price=0)).rowcount)
            savepoint.rollback()
        first = session.scalars(sa.select(Author).options(orm.selectinload(Author.books)).order_by(Author.name)).first()
        print(first.name, first.country.name, [(book.title, str(book.price), book.extra, book.raw) for book in first.books])
        session.delete(first)
        session.commit()
        print(session.scalar(sa.select(sa.func.count()).select_from(Book)), session.scalar(sa.select(sa.func.count()).select_from(Author)))
        second = session.scalars(sa.select(Author).where(Author.name == "author 07")).one()
        session.add(Book(author_id=second.id, number=9, title="墨水 7.1"))
        try:
            session.commit()
        except sa.exc.IntegrityError as error:
            print(error.orig.args[0])
            session.rollback()
        session.add(Country(code="DE", name="twice"))
        try:
            session.commit()
        except sa.exc.IntegrityError as error:
            print(error.orig.args[0])
            session.rollback()
        second.books[0].price = 99
        second.name = "author seven"
        session.commit()
        print(session.scalar(sa.select(sa.func.sum(Book.price))))


def read(target):
    with orm.Session(target) as session:
        joined = sa.select(Author.name, Country.code, sa.func.sum(Book.price).label("sum")).join(Author.books).join(Author.country)
        for row in session.execute(joined.group_by(Author.id, Author.name, Country.code).order_by(sa.desc("sum"), Author.name).limit(5)):
            print(tuple(row))
        loaded = sa.select(Author).options(orm.joinedload(Author.books), orm.joinedload(Author.country)).where(Author.name.like("author 1%"))
        print([(author.name, author.country.code, len(author.books)) for author in session.scalars(loaded.order_by(Author.name)).unique()])
        rich = sa.select(sa.literal(1)).where(Book.author_id == Author.id, Book.price > 55).exists()
        print(session.scalars(sa.select(Author.name).where(rich).order_by(Author.name)).all())
        ranked = sa.select(Book.title, sa.func.row_number().over(partition_by=Book.author_id, order_by=Book.price.desc()).label("rank")).subquery()
        print(session.scalar(sa.select(sa.func.count()).select_from(ranked).where(ranked.c.rank == 1)))
        each = sa.select(Author.country_id, sa.func.count().label("n")).group_by(Author.country_id).cte()
        print(session.execute(sa.select(Country.code, each.c.n).join(each, each.c.country_id == Country.id).order_by(Country.code)).all())
        named = sa.union(sa.select(Author.name.label("it")), sa.select(Country.name.label("it"))).subquery()
        print(session.scalars(sa.select(named.c.it).order_by(named.c.it).limit(3).offset(2)).all())
        print(session.execute(sa.select(sa.func.avg(Book.price), sa.func.count(sa.distinct(Book.author_id)), sa.func.max(Book.number))).one())


def contend(target):
    """Transactions over rows of several authors, that are on several nodes: no change of them is lost."""
    with target.connect() as connection:
        ids = connection.scalars(sa.select(Author.id).order_by(Author.id).limit(4)).all()
        before = connection.scalar(sa.select(sa.func.sum(Book.price)).where(Book.author_id.in_(ids)))

    def add(times):
        done = 0
        while done < times:
            try:
                with target.begin() as connection:
                    for one in ids:
                        that = (Book.author_id == one, Book.number == 0)
                        price = connection.execute(sa.select(Book.price).where(*that).with_for_update()).scalar_one()
                        connection.execute(sa.update(Book).where(*that).values(price=price + 1))
                done += 1
            except sa.exc.OperationalError as error:
                assert error.orig.args[0] == 1213, error

    threads = [threading.Thread(target=add, args=(8,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with target.connect() as connection:
        print(connection.scalar(sa.select(sa.func.sum(Book.price)).where(Book.author_id.in_(ids))) - before)
        connection.rollback()
        connection = connection.execution_options(isolation_level="READ COMMITTED")
        print(connection.get_isolation_level(), connection.scalar(sa.text("SELECT @@tx_isolation")))


target = engine()
Base.metadata.create_all(target)
reflect(target)
write(target)
read(target)
contend(target)
with target.connect() as connection:
    streamed = connection.execution_options(stream_results=True, yield_per=50).execute(sa.select(Book).order_by(Book.author_id, Book.number))
    print([len(part) for part in streamed.partitions()])
if SPREAD:
    with target.connect() as connection:
        told = connection.exec_driver_sql("EXPLAIN ROUTE SELECT COUNT(*) FROM book").fetchall()
        assert "0, 1" in str(told), f"it is on both nodes: {told}"
Base.metadata.drop_all(target)
print(sa.inspect(target).get_table_names())
