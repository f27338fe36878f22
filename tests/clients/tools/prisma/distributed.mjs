// Prisma's client over distributed tables, made as its migrations make them: authors by their key, books by their authors', countries
// everywhere. TOOL_SPREAD says whether the database has several nodes.
import { PrismaMariaDb } from '@prisma/adapter-mariadb'
import { PrismaClient } from './node_modules/distributed-client/index.js'

const show = (...what) => console.log(JSON.stringify(what, (_, value) => (typeof value === 'bigint' ? String(value) : value)))
const adapter = new PrismaMariaDb({
  host: process.env.TOOL_HOST, port: Number(process.env.TOOL_PORT), user: process.env.TOOL_USER, password: process.env.TOOL_PASSWORD,
  database: process.env.TOOL_DATABASE, connectionLimit: 4,
})
const db = new PrismaClient({ adapter })
const rest = 'DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci'
for (const table of [
  `CREATE TABLE Country (code CHAR(2) NOT NULL, name VARCHAR(191) NOT NULL, PRIMARY KEY (code)) ${rest}`,
  `CREATE TABLE Author (id INTEGER NOT NULL AUTO_INCREMENT, name VARCHAR(60) NOT NULL, code CHAR(2) NOT NULL, born DATETIME(3) NOT NULL,
    INDEX Author_name_idx(name), INDEX Author_code_idx(code), PRIMARY KEY (id)) ${rest}`,
  `CREATE TABLE Book (authorId INTEGER NOT NULL, number INTEGER NOT NULL, title VARCHAR(191) NOT NULL, price DECIMAL(9,2) NOT NULL DEFAULT 1,
    extra JSON NULL, raw LONGBLOB NULL, PRIMARY KEY (authorId, number)) ${rest}`,
  `CREATE TABLE Tag (id INTEGER NOT NULL AUTO_INCREMENT, name VARCHAR(191) NOT NULL, PRIMARY KEY (id)) ${rest}`,
  `CREATE TABLE _AuthorToTag (A INTEGER NOT NULL, B INTEGER NOT NULL, UNIQUE INDEX _AuthorToTag_AB_unique(A, B), INDEX _AuthorToTag_B_index(B)) ${rest}`,
]) await db.$executeRawUnsafe(table)
if (process.env.TOOL_SPREAD === '1') {
  for (const [table, clause] of [['Author', 'HASH(id)'], ['Book', 'HASH(authorId)'], ['Country', 'BROADCAST'], ['Tag', 'BROADCAST'], ['_AuthorToTag', 'HASH(A)']]) {
    await db.$executeRawUnsafe(`ALTER TABLE ${table} DISTRIBUTE BY ${clause}`)
  }
}
await db.country.createMany({ data: [{ code: 'DE', name: 'Deutschland' }, { code: 'CN', name: '中国' }] })
await db.tag.createMany({ data: [{ name: 'old' }, { name: 'new' }, { name: 'odd' }] })
for (let n = 0; n < 20; n++) {
  await db.author.create({
    data: {
      name: `作者 ${n}`, code: n % 3 ? 'DE' : 'CN', born: new Date(Date.UTC(1900 + n, 1, 2, 3, 4, 5, 678)), tags: { connect: [{ id: 1 + (n % 3) }, { id: 3 }] },
      books: { create: [{ number: 1, title: 'one', price: n / 4, extra: { a: [n], b: null }, raw: new Uint8Array([0, 255, n]) }, { number: 2, title: 'two' }] },
    },
  })
}
await db.author.createMany({ data: Array.from({ length: 50 }, (_, n) => ({ name: `bulk ${n}`, code: 'DE', born: new Date(0) })) })
show(await db.author.findMany({ where: { name: { startsWith: '作者 1' }, books: { some: { price: { gt: 2.5 } } } }, include: { books: { orderBy: { number: 'desc' } }, country: true, tags: { orderBy: { id: 'asc' } } }, orderBy: { id: 'asc' }, take: 3, skip: 1 }))
show(await db.author.count({ where: { books: { none: {} } } }), await db.author.count({ where: { tags: { every: { name: { in: ['odd', 'new'] } } }, books: { some: {} } } }))
show(await db.book.aggregate({ _count: true, _sum: { price: true }, _avg: { price: true }, _max: { title: true }, where: { title: 'one' } }))
show(await db.book.groupBy({ by: ['title'], _avg: { price: true }, _count: { _all: true }, having: { price: { _max: { gt: 1 } } }, orderBy: { title: 'asc' } }))
show(await db.author.groupBy({ by: ['code'], _count: { id: true }, _min: { born: true }, orderBy: { _count: { id: 'desc' } } }))
show(await db.author.findMany({ distinct: ['code'], orderBy: { id: 'asc' }, select: { code: true, name: true } }))
show(await db.author.findMany({ cursor: { id: 15 }, take: -3, orderBy: { id: 'asc' }, select: { id: true, _count: { select: { books: true, tags: true } } } }))
show(await db.author.findMany({ where: { OR: [{ country: { name: '中国' } }, { NOT: { code: 'DE' } }], born: { lt: new Date(Date.UTC(1910, 0, 1)) } }, orderBy: [{ country: { name: 'asc' } }, { id: 'desc' }], select: { name: true } }))
await db.country.create({ data: { code: 'CN', name: 'again' } }).catch((error) => show(error.code, error.meta?.modelName))
await db.author.update({ where: { id: 100000 }, data: { name: 'nobody' } }).catch((error) => show(error.code))
await db.$transaction(async (inside) => {
  await inside.book.updateMany({ data: { price: 0 } })
  show(await inside.book.aggregate({ _sum: { price: true } }))
  throw new Error('undone')
}).catch((error) => show(error.message))
await db.$transaction([db.author.delete({ where: { id: 6 } }), db.author.update({ where: { id: 7 }, data: { name: 'else', tags: { set: [{ id: 2 }] }, books: { deleteMany: { number: 2 }, create: { number: 3, title: 'three' } } } })])
show(await db.author.findUnique({ where: { id: 7 }, include: { books: { orderBy: { number: 'asc' } }, tags: true } }), await db.book.count({ where: { authorId: 6 } }))
for (let n = 0; n < 2; n++) show(await db.book.upsert({ where: { authorId_number: { authorId: 8, number: 9 } }, create: { authorId: 8, number: 9, title: 'upserted' }, update: { price: { increment: 2.5 } } }))
await Promise.all(Array.from({ length: 20 }, () => db.book.update({ where: { authorId_number: { authorId: 1, number: 1 } }, data: { price: { increment: 1 } } })))
await Promise.all(Array.from({ length: 8 }, (_, n) => db.$transaction(async (inside) => {
  const from = await inside.book.findUniqueOrThrow({ where: { authorId_number: { authorId: 10 + n, number: 1 } } })
  await inside.book.update({ where: { authorId_number: { authorId: 10 + n, number: 1 } }, data: { price: from.price.minus(1) } })
  await inside.book.update({ where: { authorId_number: { authorId: 10 + n, number: 2 } }, data: { price: { increment: 1 } } })
}, { maxWait: 20000, timeout: 60000 })))
show(await db.book.aggregate({ _sum: { price: true }, _count: true }))
show(await db.$queryRaw`SELECT price, ${'墨'} AS name, ${new Date(0)} AS at FROM Book WHERE authorId = ${1} ORDER BY number`)
show(await db.$executeRaw`UPDATE Book SET title = CONCAT(title, ${'!'}) WHERE price > ${3}`, (await db.book.findMany({ where: { title: { endsWith: '!' } } })).length)
show(await db.author.deleteMany({ where: { name: { startsWith: 'bulk' } } }), await db.author.count())
await db.$disconnect()
