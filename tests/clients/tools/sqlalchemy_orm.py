"""SQLAlchemy: reflection, ORM, transactions, a pool."""

import os
import threading

import sqlalchemy as sa
from sqlalchemy import orm

ROWS = 300


class Base(orm.DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "author"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    name: orm.Mapped[str] = orm.mapped_column(sa.String(60), unique=True)
    books: orm.Mapped[list["Book"]] = orm.relationship(back_populates="author", cascade="all, delete-orphan")


class Book(Base):
    __tablename__ = "book"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    title: orm.Mapped[str] = orm.mapped_column(sa.String(120), index=True)
    price: orm.Mapped[float] = orm.mapped_column(sa.Numeric(9, 2), server_default="1.00")
    about: orm.Mapped[str | None] = orm.mapped_column(sa.Text)
    extra: orm.Mapped[dict | None] = orm.mapped_column(sa.JSON)
    author_id: orm.Mapped[int] = orm.mapped_column(sa.ForeignKey("author.id", ondelete="CASCADE"))
    author: orm.Mapped[Author] = orm.relationship(back_populates="books")


def engine():
    url = sa.URL.create(
        "mysql+pymysql", os.environ["TOOL_USER"], os.environ["TOOL_PASSWORD"], os.environ["TOOL_HOST"],
        int(os.environ["TOOL_PORT"]), os.environ["TOOL_DATABASE"], {"charset": "utf8mb4"},
    )  # fmt: skip
    return sa.create_engine(url, pool_size=4, pool_pre_ping=True, connect_args={"ssl_disabled": True})


def reflect(target):
    inspector = sa.inspect(target)
    for table in inspector.get_table_names():
        print(table, [(column["name"], str(column["type"]), column["nullable"]) for column in inspector.get_columns(table)])
        print(inspector.get_pk_constraint(table), inspector.get_foreign_keys(table))
        print(inspector.get_indexes(table), inspector.get_table_options(table))
    print(inspector.get_view_names(), inspector.default_schema_name)
    metadata = sa.MetaData()
    metadata.reflect(target)
    print([[(column.name, str(column.type), column.nullable) for column in table.columns] for table in metadata.sorted_tables])


def write(target):
    with orm.Session(target) as session:
        session.add_all(
            Author(name=f"author {n}", books=[Book(title=f"墨水 {n}.{m}", price=n + m / 4, extra={"n": n}) for m in range(3)])
            for n in range(ROWS // 3)
        )
        session.commit()
        with session.begin_nested() as savepoint:
            session.execute(sa.update(Book).values(price=0))
            savepoint.rollback()
        first = session.scalars(sa.select(Author).options(orm.selectinload(Author.books)).order_by(Author.id)).first()
        print(first.name, [(book.title, str(book.price), book.extra) for book in first.books])
        print(session.execute(sa.select(sa.func.count(), sa.func.sum(Book.price)).select_from(Book)).one())
        session.delete(first)
        session.commit()
        print(session.scalar(sa.select(sa.func.count()).select_from(Book)))
        session.add(Author(name="author 5"))
        try:
            session.commit()
        except sa.exc.IntegrityError as error:
            print(error.orig.args)
            session.rollback()


def contend(target):
    def add(times):
        for _ in range(times):
            with target.begin() as connection:
                row = connection.execute(sa.select(Book.price).where(Book.id == 10).with_for_update()).scalar_one()
                connection.execute(sa.update(Book).where(Book.id == 10).values(price=row + 1))

    threads = [threading.Thread(target=add, args=(20,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with target.connect() as connection:
        print(connection.execute(sa.select(Book.price).where(Book.id == 10)).scalar_one())
        connection.rollback()
        connection = connection.execution_options(isolation_level="READ COMMITTED")
        print(connection.get_isolation_level(), connection.scalar(sa.text("SELECT @@tx_isolation")))


target = engine()
Base.metadata.create_all(target)
reflect(target)
write(target)
contend(target)
with target.connect() as connection:
    for part in connection.execution_options(stream_results=True, yield_per=50).execute(sa.select(Book)).partitions():
        print(len(part), part[0].title)
Base.metadata.drop_all(target)
print(sa.inspect(target).get_table_names())
