"""The SQL side of `SQLAlchemyJobStore`: tables, statements, steps, and what each kind of server does its own way."""
