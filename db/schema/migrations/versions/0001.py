"""The first tables of the ledger."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0001'
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes every table."""
    _sources()
    _recordings()
    _runs()
    _items()
    _jobs()
    _figures()


def _sources() -> None:
    """Datasets and pipelines, and the strips that pipelines made."""
    op.create_table('dataset',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('root', sa.Text(), nullable=False),
    sa.Column('layout', sa.String(length=60), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_dataset')),
    sa.UniqueConstraint('root', name=op.f('uq_dataset_root'))
    )
    op.create_table('pipeline',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('digest', sa.String(length=64), nullable=False),
    sa.Column('name', sa.String(length=60), nullable=False),
    sa.Column('parameters', sa.JSON(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_pipeline')),
    sa.UniqueConstraint('digest', name=op.f('uq_pipeline_digest'))
    )
    op.create_table('artifact',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('recording_digest', sa.String(length=64), nullable=False),
    sa.Column('span', sa.Integer(), nullable=False),
    sa.Column('pipeline_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('copy', sa.Integer(), nullable=False),
    sa.Column('key', sa.Text(), nullable=False),
    sa.Column('size_bytes', sa.BigInteger(), nullable=False),
    sa.Column('sha256', sa.String(length=64), nullable=False),
    sa.Column('n_chunks', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['pipeline_id'], ['pipeline.id'], name=op.f('fk_artifact_pipeline_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_artifact')),
    sa.UniqueConstraint('recording_digest', 'span', 'pipeline_id', 'copy', name=op.f('uq_artifact_recording_digest_span_pipeline_id_copy'))
    )


def _recordings() -> None:
    """Of the datasets."""
    op.create_table('recording',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('dataset_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('uri', sa.Text(), nullable=False),
    sa.Column('label', sa.Text(), nullable=False),
    sa.Column('author', sa.Text(), nullable=True),
    sa.Column('group_name', sa.Text(), nullable=True),
    sa.Column('official_fold', sa.Integer(), nullable=True),
    sa.Column('official_split', sa.String(length=20), nullable=True),
    sa.Column('size_bytes', sa.BigInteger(), nullable=False),
    sa.Column('mtime_ns', sa.BigInteger(), nullable=False),
    sa.Column('digest', sa.String(length=64), nullable=False),
    sa.Column('n_frames', sa.BigInteger(), nullable=False),
    sa.Column('rate_hz', sa.Integer(), nullable=False),
    sa.Column('facts_digest', sa.String(length=32), nullable=False),
    sa.ForeignKeyConstraint(['dataset_id'], ['dataset.id'], name=op.f('fk_recording_dataset_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_recording')),
    sa.UniqueConstraint('dataset_id', 'uri', 'facts_digest', name=op.f('uq_recording_dataset_id_uri_facts_digest'))
    )
    with op.batch_alter_table('recording', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_recording_digest'), ['digest'], unique=False)


def _runs() -> None:
    """Runs, and rows of their datasets that name no recording."""
    op.create_table('run',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('dataset_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('pipeline_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('state', sa.String(length=12), nullable=False),
    sa.Column('labels', sa.JSON(), nullable=False),
    sa.Column('options', sa.JSON(), nullable=False),
    sa.Column('split', sa.JSON(), nullable=False),
    sa.Column('facts', sa.JSON(), nullable=False),
    sa.Column('created_at', sa.Double(), nullable=False),
    sa.Column('finished_at', sa.Double(), nullable=True),
    sa.ForeignKeyConstraint(['dataset_id'], ['dataset.id'], name=op.f('fk_run_dataset_id')),
    sa.ForeignKeyConstraint(['pipeline_id'], ['pipeline.id'], name=op.f('fk_run_pipeline_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_run'))
    )
    op.create_table('bad_row',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('run_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('line', sa.Integer(), nullable=False),
    sa.Column('uri', sa.Text(), nullable=False),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.Column('is_duplicate', sa.Boolean(), nullable=False),
    sa.ForeignKeyConstraint(['run_id'], ['run.id'], name=op.f('fk_bad_row_run_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_bad_row'))
    )
    with op.batch_alter_table('bad_row', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_bad_row_run_id'), ['run_id'], unique=False)


def _items() -> None:
    """What is preprocessed: a span and copy of a recording."""
    op.create_table('item',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('run_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('recording_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('pipeline_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('span', sa.Integer(), nullable=False),
    sa.Column('copy', sa.Integer(), nullable=False),
    sa.Column('fold', sa.SmallInteger(), nullable=False),
    sa.Column('side', sa.SmallInteger(), nullable=False),
    sa.Column('group_name', sa.Text(), nullable=False),
    sa.Column('order_key', sa.BigInteger(), nullable=False),
    sa.Column('work_s', sa.Double(), nullable=False),
    sa.Column('worked_s', sa.Double(), nullable=True),
    sa.Column('is_alone', sa.Boolean(), nullable=False),
    sa.Column('state', sa.String(length=12), nullable=False),
    sa.Column('attempts', sa.Integer(), nullable=False),
    sa.Column('own_deaths', sa.Integer(), nullable=False),
    sa.Column('losses', sa.Integer(), nullable=False),
    sa.Column('faults', sa.Integer(), nullable=False),
    sa.Column('fence', sa.Integer(), nullable=False),
    sa.Column('lease_until', sa.Double(), nullable=True),
    sa.Column('retry_at', sa.Double(), nullable=True),
    sa.Column('sent_at', sa.Double(), nullable=True),
    sa.Column('started_at', sa.Double(), nullable=True),
    sa.Column('finished_at', sa.Double(), nullable=True),
    sa.Column('worker', sa.Text(), nullable=True),
    sa.Column('reason', sa.Text(), nullable=True),
    sa.ForeignKeyConstraint(['pipeline_id'], ['pipeline.id'], name=op.f('fk_item_pipeline_id')),
    sa.ForeignKeyConstraint(['recording_id'], ['recording.id'], name=op.f('fk_item_recording_id')),
    sa.ForeignKeyConstraint(['run_id'], ['run.id'], name=op.f('fk_item_run_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_item')),
    sa.UniqueConstraint('run_id', 'recording_id', 'pipeline_id', 'span', 'copy', name=op.f('uq_item_run_id_recording_id_pipeline_id_span_copy'))
    )
    with op.batch_alter_table('item', schema=None) as batch_op:
        batch_op.create_index('ix_item_lease', ['lease_until'], unique=False, sqlite_where=sa.text("state = 'running'"), postgresql_where=sa.text("state = 'running'"))
        batch_op.create_index(batch_op.f('ix_item_recording_id'), ['recording_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_item_run_id_pipeline_id_fold_side_order_key'), ['run_id', 'pipeline_id', 'fold', 'side', 'order_key'], unique=False)
        batch_op.create_index(batch_op.f('ix_item_run_id_state_id'), ['run_id', 'state', 'id'], unique=False)


def _jobs() -> None:
    """What is done once a run, a model or a fold."""
    op.create_table('job',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('run_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('kind', sa.String(length=12), nullable=False),
    sa.Column('model', sa.String(length=60), nullable=True),
    sa.Column('seed', sa.Integer(), nullable=True),
    sa.Column('fold', sa.Integer(), nullable=True),
    sa.Column('side', sa.SmallInteger(), nullable=True),
    sa.Column('device', sa.Text(), nullable=True),
    sa.Column('result', sa.JSON(), nullable=False),
    sa.Column('state', sa.String(length=12), nullable=False),
    sa.Column('attempts', sa.Integer(), nullable=False),
    sa.Column('own_deaths', sa.Integer(), nullable=False),
    sa.Column('losses', sa.Integer(), nullable=False),
    sa.Column('faults', sa.Integer(), nullable=False),
    sa.Column('fence', sa.Integer(), nullable=False),
    sa.Column('lease_until', sa.Double(), nullable=True),
    sa.Column('retry_at', sa.Double(), nullable=True),
    sa.Column('sent_at', sa.Double(), nullable=True),
    sa.Column('started_at', sa.Double(), nullable=True),
    sa.Column('finished_at', sa.Double(), nullable=True),
    sa.Column('worker', sa.Text(), nullable=True),
    sa.Column('reason', sa.Text(), nullable=True),
    sa.ForeignKeyConstraint(['run_id'], ['run.id'], name=op.f('fk_job_run_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_job'))
    )
    with op.batch_alter_table('job', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_job_run_id'), ['run_id'], unique=False)


def _figures() -> None:
    """Counts of states, figures of epochs, and what waits for what."""
    op.create_table('tally',
    sa.Column('run_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('state', sa.String(length=12), nullable=False),
    sa.Column('slot', sa.SmallInteger(), nullable=False),
    sa.Column('n', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['run_id'], ['run.id'], name=op.f('fk_tally_run_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('run_id', 'state', 'slot', name=op.f('pk_tally'))
    )
    op.create_table('metric',
    sa.Column('job_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('epoch', sa.Integer(), nullable=False),
    sa.Column('name', sa.String(length=60), nullable=False),
    sa.Column('value', sa.Double(), nullable=False),
    sa.ForeignKeyConstraint(['job_id'], ['job.id'], name=op.f('fk_metric_job_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('job_id', 'epoch', 'name', name=op.f('pk_metric'))
    )
    op.create_table('need',
    sa.Column('job_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('needs_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('even_failed', sa.Boolean(), nullable=False),
    sa.ForeignKeyConstraint(['job_id'], ['job.id'], name=op.f('fk_need_job_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['needs_id'], ['job.id'], name=op.f('fk_need_needs_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('job_id', 'needs_id', name=op.f('pk_need'))
    )


def downgrade() -> None:
    """Takes every table away."""
    op.drop_table('need')
    op.drop_table('metric')
    op.drop_table('tally')
    with op.batch_alter_table('job', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_job_run_id'))

    op.drop_table('job')
    with op.batch_alter_table('item', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_item_run_id_state_id'))
        batch_op.drop_index(batch_op.f('ix_item_run_id_pipeline_id_fold_side_order_key'))
        batch_op.drop_index(batch_op.f('ix_item_recording_id'))
        batch_op.drop_index('ix_item_lease', sqlite_where=sa.text("state = 'running'"), postgresql_where=sa.text("state = 'running'"))

    op.drop_table('item')
    with op.batch_alter_table('bad_row', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_bad_row_run_id'))

    op.drop_table('bad_row')
    op.drop_table('run')
    with op.batch_alter_table('recording', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_recording_digest'))

    op.drop_table('recording')
    op.drop_table('artifact')
    op.drop_table('pipeline')
    op.drop_table('dataset')

