# Perl: DBD::MariaDB, with real prepared statements and without, and what DBI asks of a database.
use strict;
use warnings;
use DBI;

binmode STDOUT, ':encoding(UTF-8)';
my ($host, $port, $user, $password, $database) = @ENV{qw(TOOL_HOST TOOL_PORT TOOL_USER TOOL_PASSWORD TOOL_DATABASE)};
my $source = "DBI:MariaDB:database=$database;host=$host;port=$port";
my $dbh = DBI->connect($source, $user, $password, {RaiseError => 1, PrintError => 0});
sub show { print join('|', map { defined $_ ? $_ : 'NULL' } @_), "\n" }
sub all { show(@$_) for @{$_[0]} }

show(map { $dbh->{$_} } qw(mariadb_serverinfo mariadb_serverversion AutoCommit));
$dbh->do('CREATE TABLE item (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(40), price DECIMAL(9,2), data LONGBLOB)');
for my $prepared (0, 1) {
    my $insert = $dbh->prepare('INSERT INTO item (name, price, data) VALUES (?, ?, ?)', {mariadb_server_prepare => $prepared});
    for my $row (['pen', 1.5, "\0\1\xff" x 1000], ["\x{58a8}\x{6c34}", 12.25, undef]) {
        show($insert->execute(@$row), $dbh->last_insert_id(undef, undef, 'item', 'id'));
    }
    my $find = $dbh->prepare('SELECT id, name, price, LENGTH(data) FROM item WHERE price > ? ORDER BY id', {mariadb_server_prepare => $prepared});
    $find->execute(1);
    all($find->fetchall_arrayref);
    show(@{$find->{NAME}}, @{$find->{TYPE}}, @{$find->{mariadb_length}});
    my $use = $dbh->prepare('SELECT seq FROM seq_1_to_50000', {mariadb_use_result => 1});
    $use->execute;
    my $sum = 0;
    while (my ($number) = $use->fetchrow_array) { $sum += $number }
    show($sum);
}
$dbh->begin_work;
$dbh->do('DELETE FROM item');
$dbh->rollback;
all($dbh->selectall_arrayref('SELECT COUNT(*), SUM(price) FROM item'));
eval { $dbh->do('INSERT INTO item (id) VALUES (1)') };
show($dbh->err, $dbh->errstr, $dbh->state);
all([map { [@$_[1 .. 3]] } @{$dbh->table_info(undef, $database, '%', undef)->fetchall_arrayref}]);
all([map { [@$_[3 .. 6]] } @{$dbh->column_info(undef, $database, 'item', '%')->fetchall_arrayref}]);
show($dbh->primary_key(undef, $database, 'item'));
my $several = DBI->connect("$source;mariadb_multi_statements=1", $user, $password, {RaiseError => 1});
my $results = $several->prepare('SELECT 1; SELECT 2, 3; DO 1');
$results->execute;
do { all($results->fetchall_arrayref) if $results->{NUM_OF_FIELDS} } while $results->more_results;
# A statement is killed by the thread's number.
my $sleep = $several->prepare('SELECT SLEEP(600)', {mariadb_async => 1});
$sleep->execute;
my $running = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO = 'SELECT SLEEP(600)' AND STATE = 'User sleep'";
select(undef, undef, undef, 0.002) until $dbh->selectrow_array($running);
$dbh->do('KILL QUERY ' . $several->{mariadb_thread_id});
eval { $sleep->mariadb_async_result };
show($sleep->err);
$several->disconnect;
show($dbh->ping);
$dbh->do('DROP TABLE item');
eval { DBI->connect($source, $user, 'wrong', {RaiseError => 1, PrintError => 0}) };
show(DBI->err);
