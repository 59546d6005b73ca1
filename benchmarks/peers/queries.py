"""The ten queries as all engines are asked them: their names, their parameters, and their text for engines that read SQL.

The results are defined alike for everyone: sums are of 32-bit floats added in 64 bits, the mean rank is of integers, and ties go by
the text column. Query 3 ends with its first rows, so these are its whole result; all others end with all rows. Of Query 4, SQL asks for what its two phases
come to, the links to each page; what a page of the crawl is does not matter to it.
"""

THRESHOLDS = {"1A": 1000, "1B": 100, "1C": 10}
PREFIXES = {"2A": 8, "2B": 10, "2C": 12}
DAYS = {"3A": "1980-04-01", "3B": "1983-01-01", "3C": "2010-01-01"}
FIRST_DAY = "1980-01-01"
# Reads text, whatever the tables are kept in.
LINKS = "4"
OF_TABLES = (*THRESHOLDS, *PREFIXES, *DAYS)
QUERIES = (*OF_TABLES, LINKS)

RANKINGS = {"pageURL": "VARCHAR", "pageRank": "INTEGER", "avgDuration": "INTEGER"}
USERVISITS = {
    "sourceIP": "VARCHAR", "destURL": "VARCHAR", "visitDate": "DATE", "adRevenue": "FLOAT", "userAgent": "VARCHAR",
    "countryCode": "VARCHAR", "languageCode": "VARCHAR", "searchWord": "VARCHAR", "duration": "INTEGER",
}
DOCUMENTS = {"line": "VARCHAR"}
# Every match of https?://\S+ in a line, a row each, by the engine; None is of all others.
MATCHES = {
    None: r"unnest(regexp_extract_all(line, 'https?://[^\s]+'))",
    "chdb": r"arrayJoin(extractAll(line, 'https?://[^\\s]+'))",
    "spark": r"explode(regexp_extract_all(line, '(https?://[^\\s]+)', 1))",
}
# Engines whose SQL has nothing for it.
WITHOUT_MATCHES = ("polars", "datafusion")


def flags(query):
    """What makes it this query of its program in Millrace; nothing for one without parameters."""
    if query in THRESHOLDS:
        return ["--threshold", str(THRESHOLDS[query])]
    if query in PREFIXES:
        return ["-k", str(PREFIXES[query])]
    return ["--from", FIRST_DAY, "--to", DAYS[query]] if query in DAYS else []


def result_columns(query):
    """The columns of a query's result with their SQL types; rows are ranked by the second, ties by the first."""
    if query in THRESHOLDS:
        return {"pageURL": "VARCHAR", "pageRank": "INTEGER"}
    if query in PREFIXES:
        return {"prefix": "VARCHAR", "revenue": "DOUBLE"}
    if query == LINKS:
        return {"destPage": "VARCHAR", "totalCount": "BIGINT"}
    return {"sourceIP": "VARCHAR", "totalRevenue": "DOUBLE", "pageRank": "DOUBLE"}


def tables(query):
    """The tables that an engine declares for a query, with the columns of each."""
    return {"documents": DOCUMENTS} if query == LINKS else {"rankings": RANKINGS, "uservisits": USERVISITS}


def select(query, top, *tables, engine=None):
    """The statement of a query for an engine; the tables are given as what can stand after FROM."""
    if query == LINKS:
        return (f"SELECT destPage, count(*) AS totalCount FROM (SELECT {MATCHES.get(engine, MATCHES[None])} AS destPage "
                f"FROM {tables[0]}) AS phase1 GROUP BY destPage")
    rankings, uservisits = tables
    if query in THRESHOLDS:
        return f"SELECT pageURL, pageRank FROM {rankings} WHERE pageRank > {THRESHOLDS[query]}"
    if query in PREFIXES:
        return (f"SELECT substr(sourceIP, 1, {PREFIXES[query]}) AS prefix, sum(CAST(adRevenue AS DOUBLE)) AS revenue "
                f"FROM {uservisits} GROUP BY 1")
    return (f"SELECT sourceIP, totalRevenue, pageRank FROM ({addresses(query, rankings, uservisits)}) "
            f"ORDER BY totalRevenue DESC, sourceIP LIMIT {top}")


def addresses(query, rankings, uservisits):
    """All groups of Query 3, each with the number of its visits: what its first rows are chosen from."""
    return (f"SELECT sourceIP, sum(CAST(adRevenue AS DOUBLE)) AS totalRevenue, avg(R.pageRank) AS pageRank, count(*) AS visits "
            f"FROM {rankings} AS R JOIN (SELECT sourceIP, destURL, adRevenue FROM {uservisits} "
            f"WHERE visitDate > DATE '{FIRST_DAY}' AND visitDate < DATE '{DAYS[query]}') AS NUV ON R.pageURL = NUV.destURL "
            f"GROUP BY sourceIP")
